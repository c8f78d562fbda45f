//! The arguments of `#[plugin]`: what `describe` says beside the schema.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprArray, Ident, Lit, LitStr, Token};

/// `name = "…", summary = "…", requires = ["…"], conflicts = ["…"], grants = ["…"]`, each at most once.
#[derive(Default)]
pub(crate) struct Arguments {
    name: Option<LitStr>,
    summary: Option<LitStr>,
    requires: Vec<LitStr>,
    conflicts: Vec<LitStr>,
    grants: Vec<LitStr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "name" => arguments.name = Some(input.parse()?),
                "summary" => arguments.summary = Some(input.parse()?),
                "requires" => arguments.requires = strings(input)?,
                "conflicts" => arguments.conflicts = strings(input)?,
                "grants" => arguments.grants = strings(input)?,
                _ => {
                    let known = "expected one of `name`, `summary`, `requires`, `conflicts`, `grants`";
                    return Err(syn::Error::new(key.span(), known));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

fn strings(input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    let array: ExprArray = input.parse()?;
    array.elems.into_iter().map(string).collect()
}

fn string(element: Expr) -> syn::Result<LitStr> {
    match element {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        other => Err(syn::Error::new_spanned(other, "expected a string literal")),
    }
}

impl Arguments {
    /// The value of `Exportable::ABOUT`. `env!` is read where the plugin is compiled, so it speaks of the plugin's crate.
    pub(crate) fn about(&self) -> TokenStream {
        let name = self.name.as_ref().map_or_else(|| quote!(::core::env!("CARGO_PKG_NAME")), |name| quote!(#name));
        let summary = self
            .summary
            .as_ref()
            .map_or_else(|| quote!(::core::env!("CARGO_PKG_DESCRIPTION")), |summary| quote!(#summary));
        let requires = relations(&self.requires);
        let conflicts = relations(&self.conflicts);
        let grants: Punctuated<&LitStr, Token![,]> = self.grants.iter().collect();
        quote! {
            ::portcullis_sdk::export::About {
                name: #name,
                version: ::core::env!("CARGO_PKG_VERSION"),
                summary: #summary,
                requires: &[#requires],
                conflicts: &[#conflicts],
                grants: &[#grants],
            }
        }
    }
}

/// `"jwt-auth@^0.1"` as name and range.
fn relations(texts: &[LitStr]) -> TokenStream {
    let pairs = texts.iter().map(|text| {
        let value = text.value();
        let (plugin, versions) = value.split_once('@').unwrap_or((&value, "*"));
        let (plugin, versions) = (LitStr::new(plugin, text.span()), LitStr::new(versions, text.span()));
        quote!((#plugin, #versions))
    });
    quote!(#(#pairs),*)
}
