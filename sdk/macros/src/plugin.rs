//! `#[plugin]`: keeps the `impl`, completes it, and invokes the export macro of each hook that was written.
//!
//! Invariant: the export glue is for wasm only, so a plugin's pure parts are tested natively; everything else is
//! compiled on both, so that a native check finds the same mistakes.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, ImplItem, ItemImpl, parse_quote};

use crate::about::Arguments;

/// The hooks of the contract, in the order of a request's life. The names of the modules in `portcullis_sdk::raw`.
const HOOKS: [&str; 9] = [
    "init",
    "pre_route",
    "pre_handler",
    "cache_key",
    "cache_admit",
    "post_handler",
    "post_response",
    "on_error",
    "destroy",
];

/// Completes the `impl` and writes the glue.
pub(crate) fn expand(arguments: Arguments, mut item: ItemImpl) -> syn::Result<TokenStream> {
    check(&item)?;
    let hooks = written_hooks(&item)?;
    let has_config = item.items.iter().any(|member| matches!(member, ImplItem::Type(_)));
    let has_init = hooks.iter().any(|hook| hook == "init");
    if has_config && !has_init {
        return Err(syn::Error::new_spanned(&item.self_ty, "a plugin with a `Config` needs `fn init` to read it"));
    }
    if !has_init && item.items.iter().any(|member| matches!(member, ImplItem::Fn(f) if f.sig.ident == "idle_hooks")) {
        return Err(syn::Error::new_spanned(&item.self_ty, "`idle_hooks` is only asked of a plugin with `fn init`"));
    }
    if !has_config {
        item.items.insert(
            0,
            parse_quote!(
                type Config = ::portcullis_sdk::NoConfig;
            ),
        );
    }
    if !has_init {
        item.items.push(parse_quote! {
            fn init(_: Self::Config) -> ::portcullis_sdk::Result<Self> {
                ::core::result::Result::Ok(::core::default::Default::default())
            }
        });
    }
    let ty = &item.self_ty;
    let implied = (!has_init).then(|| {
        quote! {
            fn implied() -> ::core::option::Option<Self> {
                ::core::option::Option::Some(::core::default::Default::default())
            }
        }
    });
    let about = arguments.about();
    let describe = format_ident!("describe");
    let exports = hooks.iter().chain([&describe]);
    Ok(quote! {
        #item

        impl ::portcullis_sdk::export::Exportable for #ty {
            const ABOUT: ::portcullis_sdk::export::About = #about;

            fn with_slot<R>(f: impl FnOnce(&::std::cell::OnceCell<Self>) -> R) -> R {
                ::std::thread_local! {
                    static SLOT: ::std::cell::OnceCell<#ty> = const { ::std::cell::OnceCell::new() };
                }
                SLOT.with(f)
            }

            #implied
        }

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = ::portcullis_sdk::export::Exported<#ty>;
            #(::portcullis_sdk::raw::#exports::export!(Exported with_types_in ::portcullis_sdk::raw::#exports);)*
        };
    })
}

/// Refuses what is not `impl Plugin for Type`.
fn check(item: &ItemImpl) -> syn::Result<()> {
    if item.trait_.is_none() {
        return Err(syn::Error::new_spanned(&item.self_ty, "expected `impl Plugin for …`"));
    }
    if !item.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&item.generics, "a plugin is one type without parameters"));
    }
    Ok(())
}

/// Methods of the trait that are not hooks.
const OTHERS: [&str; 1] = ["idle_hooks"];

/// The names of the methods that are hooks; a method that is neither a hook nor another method of the trait is a mistake.
fn written_hooks(item: &ItemImpl) -> syn::Result<Vec<Ident>> {
    let names = item.items.iter().filter_map(|member| match member {
        ImplItem::Fn(function) => Some(&function.sig.ident),
        _ => None,
    });
    let names = names.filter(|name| !OTHERS.iter().any(|other| name == other));
    names
        .map(|name| {
            if HOOKS.iter().any(|hook| name == hook) {
                return Ok(name.clone());
            }
            Err(syn::Error::new(name.span(), format!("`{name}` is not a hook; the hooks are {}", HOOKS.join(", "))))
        })
        .collect()
}
