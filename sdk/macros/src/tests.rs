//! What the attributes write, and what they refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

use crate::about::Arguments;
use crate::{config, plugin};

fn expand(arguments: TokenStream, item: syn::ItemImpl) -> Result<String, String> {
    let expand = || plugin::expand(syn::parse2::<Arguments>(arguments)?, item);
    expand().map(|tokens| tokens.to_string()).map_err(|error| error.to_string())
}

/// The hooks whose export macro is invoked.
fn exported(item: syn::ItemImpl) -> Vec<String> {
    let text = expand(quote!(), item).unwrap();
    let (_, glue) = text.split_once("type Exported").unwrap();
    // `raw::HOOK::export!(…)`: the last path in front of each macro.
    let mut parts: Vec<&str> = glue.split(":: export !").collect();
    parts.pop();
    let hooks = parts.iter().filter_map(|before| before.rsplit_once("raw :: "));
    hooks.map(|(_, hook)| hook.trim().to_owned()).collect()
}

#[test]
fn only_what_is_written_is_exported() {
    let hooks = exported(parse_quote! {
        impl Plugin for P {
            fn init(_: NoConfig) -> Result<Self> { loop {} }
            fn idle_hooks(&self) -> Vec<Hook> { loop {} }
            fn post_handler(&self, _: &Request, _: &Response) -> Result<Verdict> { loop {} }
        }
    });
    assert_eq!(hooks, ["init", "post_handler", "describe"]);
    let hooks =
        exported(parse_quote!(impl Plugin for P { fn pre_route(&self, _: &Request) -> Result<Verdict> { loop {} } }));
    assert_eq!(hooks, ["pre_route", "describe"]);
}

#[test]
fn what_is_left_out_is_completed() {
    let text = expand(quote!(), parse_quote!(impl Plugin for P {})).unwrap();
    assert!(text.contains("type Config = :: portcullis_sdk :: NoConfig"), "{text}");
    assert!(text.contains("fn implied"), "{text}");
    let text =
        expand(quote!(), parse_quote!(impl Plugin for P { type Config = C; fn init(c: C) -> Result<P> { loop {} } }))
            .unwrap();
    assert!(!text.contains("NoConfig") && !text.contains("fn implied"), "{text}");
}

#[test]
fn the_arguments_are_what_describe_says() {
    let arguments = quote!(name = "n", requires = ["jwt-auth@^0.1", "other"], grants = ["kv"]);
    let text = expand(arguments, parse_quote!(impl Plugin for P {})).unwrap();
    assert!(text.contains(r#"requires : & [("jwt-auth" , "^0.1") , ("other" , "*")]"#), "{text}");
    assert!(text.contains(r#"name : "n""#) && text.contains(r#"grants : & ["kv"]"#), "{text}");
}

#[test]
fn mistakes_are_told() {
    let check = |item, expected: &str| {
        let error = expand(quote!(), item).expect_err("taken");
        assert!(error.contains(expected), "{error}");
    };
    check(
        parse_quote!(impl Plugin for P { fn pre_handle(&self) {} }),
        "`pre_handle` is not a hook; the hooks are init, pre_route",
    );
    check(parse_quote!(impl Plugin for P { type Config = C; }), "needs `fn init`");
    check(parse_quote!(impl Plugin for P { fn idle_hooks(&self) {} }), "only asked of a plugin with `fn init`");
    check(parse_quote!(impl P { }), "expected `impl Plugin for");
    check(
        parse_quote!(
            impl<T> Plugin for P<T> {}
        ),
        "without parameters",
    );
    let error = expand(quote!(version = "1"), parse_quote!(impl Plugin for P {})).expect_err("taken");
    assert!(error.contains("expected one of `name`"), "{error}");
}

#[test]
fn configuration_is_strict_unless_it_is_open() {
    let expand = |arguments, item| config::expand(arguments, item).unwrap().to_string();
    let denies = |text: &str| text.matches("deny_unknown_fields").count();
    assert_eq!(
        denies(&expand(
            quote!(),
            parse_quote!(
                struct C {
                    a: u8,
                }
            )
        )),
        1
    );
    assert_eq!(
        denies(&expand(
            quote!(),
            parse_quote!(
                #[serde(deny_unknown_fields)]
                struct C {
                    a: u8,
                }
            )
        )),
        1
    );
    assert_eq!(
        denies(&expand(
            quote!(open),
            parse_quote!(
                struct C {
                    a: u8,
                }
            )
        )),
        0
    );
    assert_eq!(
        denies(&expand(
            quote!(),
            parse_quote!(
                struct C(u8);
            )
        )),
        0
    );
    assert!(
        config::expand(
            quote!(shut),
            parse_quote!(
                struct C;
            )
        )
        .is_err()
    );
}
