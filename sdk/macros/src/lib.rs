//! The attributes of `portcullis-sdk`: `#[plugin]` exports the hooks of an `impl Plugin`, `#[config]` makes a type
//! readable as configuration. Border: they write code that names only `::portcullis_sdk`, so a plugin needs no other crate.
//!
//! Use them through `portcullis-sdk`, which documents them with an example.

mod about;
mod config;
mod plugin;

use proc_macro::TokenStream;

/// Exports the hooks that an `impl Plugin for …` writes, and `describe`.
///
/// Name, version and summary come from the crate's `Cargo.toml`. All arguments are optional:
///
/// ```text
/// #[portcullis_sdk::plugin(
///     name = "greeter",                      // instead of the crate's name
///     requires = ["jwt-auth@^0.1"],          // must stand earlier in the chain; without `@` any version
///     conflicts = ["other-greeter"],         // must not be in the same chain
///     grants = ["kv", "cache?"],             // asked for; shown to the operator; `?`: can do without
/// )]
/// ```
///
/// `type Config` may be left out (no configuration), and with it `fn init` (the type's `Default` is the instance).
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = syn::parse_macro_input!(arguments as about::Arguments);
    let item = syn::parse_macro_input!(item as syn::ItemImpl);
    plugin::expand(arguments, item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct or enum readable as (a part of) the configuration: derives serde's `Deserialize` and schemars'
/// `JsonSchema` through the SDK, and refuses unknown keys on structs with named fields (`#[config(open)]`: does not).
///
/// Doc comments become the descriptions in the schema, `#[serde(…)]` and `#[schemars(…)]` attributes work as usual.
#[proc_macro_attribute]
pub fn config(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    config::expand(arguments.into(), item).unwrap_or_else(syn::Error::into_compile_error).into()
}

#[cfg(test)]
mod tests;
