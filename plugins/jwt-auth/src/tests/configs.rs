//! Configurations that are refused, with the words that operators read, and what good ones mean.

use portcullis_sdk::serde_json::{Value, json};

use super::issuer::*;
use crate::deny::Denial;
use crate::place::Place;
use crate::settings::{Missing, TokenFate};

fn refused(config: Value, why: &str) {
    match Guard::try_new(config.clone()) {
        Err(told) => assert!(told.contains(why), "{told:?} instead of {why:?} for {config}"),
        Ok(_) => panic!("{config}"),
    }
}

#[test]
fn mistakes_are_named() {
    refused(json!({ "keys": [] }), "at least one");
    refused(json!({ "keys": [{}] }), "keys[0]: give exactly one of");
    refused(json!({ "keys": [{ "secret": "x", "pem": "y" }] }), "keys[0]: give exactly one of");
    refused(json!({ "keys": [{ "secret": SECRET }] }), "keys[0]: say which algorithms");
    refused(json!({ "keys": [{ "pem": "rsa" }] }), "say which algorithms");
    refused(json!({ "keys": [{ "pem": "rsa", "algorithms": ["none"] }] }), "`none` is not an algorithm");
    refused(json!({ "keys": [{ "pem": "rsa", "algorithms": ["RS256", "RS256"] }] }), "RS256 twice");
    refused(
        json!({ "keys": [key("HS256"), { "pem": "rsa", "algorithms": ["HS256"] }] }),
        "keys[1]: the key does not fit",
    );
    refused(json!({ "keys": [{ "secret_base64": "%", "algorithms": ["HS256"] }] }), "not base64");
    refused(json!({ "keys": [{ "jwk": "{", "algorithms": ["HS256"] }] }), "not JSON");
    refused(json!({ "keys": [{ "jwk": { "kty": "RSA", "x": "rsa" } }] }), "say which algorithms");
    refused(json!({ "keys": [{ "jwks": {} }] }), "a list \"keys\"");
    refused(json!({ "keys": [{ "jwks": { "keys": [] } }] }), "no key of the set");
    refused(
        json!({ "keys": [{ "jwks": { "keys": [{ "kty": "LWE" }] } }] }),
        "no key of the set can be used; key 0: say",
    );
    refused(json!({ "keys": vec![key("HS256"); 9] }), "9 keys for HS256");
    refused(json!({ "unknown": 1 }), "unknown");
    refused(json!({ "tokens": [{}] }), "tokens: give each exactly one");
    refused(json!({ "tokens": [{ "cookie": "a", "scheme": "Bearer" }] }), "tokens: give each exactly one");
    refused(json!({ "tokens": [{ "header": "a", "scheme": "Be arer" }] }), "not a scheme");
    refused(json!({ "headers": { "Authorization": "sub" } }), "cannot carry a claim");
    refused(json!({ "headers": { "x-a": "sub", "X-A": "sub" } }), "`x-a` twice");
    refused(json!({ "headers": { "x-a": "" } }), "headers: a claim without a name");
    refused(json!({ "headers": { "x-a": "a..b" } }), "headers: a claim without a name");
    refused(json!({ "attributes": { "a b": "sub" } }), "not an attribute name");
    refused(json!({ "claims": [{ "claim": "a" }] }), "claims[0]: give exactly one of");
    refused(json!({ "claims": [{ "claim": "a", "one_of": [] }] }), "claims[0]: give at least one");
    refused(json!({ "claims": [{ "claim": "a", "equals": {} }] }), "strings, numbers or booleans");
    refused(json!({ "realm": "a\nb" }), "realm");
    refused(json!({ "scopes": ["a b"] }), "scopes");
    refused(json!({ "scopes": ["a\""] }), "scopes");
}

#[test]
fn what_is_left_out_has_a_meaning() {
    let guard = Guard::new(json!({}));
    let bearer = Place::Header { name: "authorization".to_owned(), scheme: "Bearer".to_owned() };
    assert_eq!(guard.handling.places, [bearer]);
    assert_eq!((guard.handling.missing, guard.handling.token), (Missing::Denied, TokenFate::Kept));
    assert_eq!(guard.handling.attributes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["auth.subject"]);
    assert_eq!(guard.handling.challenge.value(Denial::Missing), r#"Bearer realm="portcullis""#);
    assert!(Guard::new(json!({ "attributes": {} })).handling.attributes.is_empty());
}

#[test]
fn places_keep_their_order() {
    let guard = Guard::new(json!({
        "tokens": [{ "cookie": "session" }, { "header": "X-Token" }, { "query": "access_token" },
                   { "header": "Authorization", "scheme": "DPoP" }],
        "optional": true, "strip_token": true, "scopes": ["read"], "realm": "shop",
    }));
    let header = |name: &str, scheme: &str| Place::Header { name: name.to_owned(), scheme: scheme.to_owned() };
    let expected = [
        Place::Cookie("session".to_owned()),
        header("x-token", ""),
        Place::Query("access_token".to_owned()),
        header("authorization", "DPoP"),
    ];
    assert_eq!(guard.handling.places, expected);
    assert_eq!((guard.handling.missing, guard.handling.token), (Missing::Passes, TokenFate::Stripped));
    assert_eq!(guard.handling.challenge.value(Denial::Missing), r#"DPoP realm="shop", scope="read""#);
}

#[test]
fn keys_come_in_every_form() {
    let passes = |keys: Value, algorithm: &str| {
        let guard = Guard::new(json!({ "keys": keys }));
        assert!(guard.judge(&token(algorithm, &claims(json!({})))).is_ok(), "{algorithm}");
    };
    let encoded = "YSBzZWNyZXQgZm9yIHRlc3RzIHRoYXQgaXMgbG9uZyBlbm91Z2ggZXZlbiBmb3IgU0hBLTUxMiwgNjQgYnl0ZXM";
    for padding in ["", "=", "\n"] {
        passes(json!([{ "secret_base64": format!("{encoded}{padding}"), "algorithms": ["HS256"] }]), "HS256");
    }
    let es = json!({ "kty": "EC", "crv": "P-256", "x": "ES256" });
    let rsa = json!({ "kty": "RSA", "x": "rsa", "kid": "r" });
    let oct = json!({ "kty": "oct", "k": SECRET, "alg": "HS384" });
    passes(json!([{ "jwk": es }]), "ES256");
    passes(json!([{ "jwk": es.to_string() }]), "ES256");
    passes(json!([{ "jwk": oct }]), "HS384");
    passes(json!([{ "jwk": rsa, "algorithms": ["RS256", "PS512"] }]), "PS512");

    let encryption = json!({ "kty": "RSA", "x": "rsa", "use": "enc", "alg": "RSA-OAEP" });
    let set = json!({ "keys": [encryption, { "kty": "LWE" }, rsa, es, oct] });
    for algorithm in ["ES256", "HS384"] {
        passes(json!([{ "jwks": set }]), algorithm);
    }
    passes(json!([{ "jwks": set.to_string(), "algorithms": ["ES256", "RS256"] }]), "RS256");
    passes(json!([{ "jwks": set, "algorithms": ["ES256", "RS256"] }]), "ES256");
    let guard = Guard::new(json!({ "keys": [{ "jwks": set, "algorithms": ["ES256", "RS256"] }] }));
    assert_eq!(
        guard.judge(&token("HS384", &claims(json!({})))),
        Err(Denial::Invalid("the token's algorithm is not allowed"))
    );
}
