//! `#[config]`: the derives and their attributes, through the SDK's re-exports.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Fields};

/// Puts the derives above the type.
pub(crate) fn expand(arguments: TokenStream, item: DeriveInput) -> syn::Result<TokenStream> {
    let open = match arguments.to_string().as_str() {
        "" => false,
        "open" => true,
        _ => return Err(syn::Error::new_spanned(arguments, "expected nothing or `open`")),
    };
    let strict = !open && has_named_fields(&item) && !says(&item, "deny_unknown_fields");
    let deny = strict.then(|| quote!(#[serde(deny_unknown_fields)]));
    Ok(quote! {
        #[derive(::portcullis_sdk::serde::Deserialize, ::portcullis_sdk::schemars::JsonSchema)]
        #[serde(crate = "::portcullis_sdk::serde")]
        #[schemars(crate = "::portcullis_sdk::schemars")]
        #deny
        #item
    })
}

fn has_named_fields(item: &DeriveInput) -> bool {
    matches!(&item.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)))
}

/// Whether a serde attribute of the type already holds this word.
fn says(item: &DeriveInput, word: &str) -> bool {
    item.attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .any(|attribute| attribute.meta.to_token_stream().to_string().contains(word))
}
