//! Good and bad tokens of every kind.

use portcullis_sdk::serde_json::{Value, json};
use proptest::prelude::*;

use super::issuer::*;
use crate::base64url;
use crate::deny::Denial;
use crate::token::{Scratch, authenticate};

fn invalid(guard: &Guard, token: &str, why: &str) {
    match guard.judge(token) {
        Err(Denial::Invalid(told)) => assert!(told.contains(why), "{told:?} instead of {why:?} for {token}"),
        other => panic!("{other:?} instead of {why:?} for {token}"),
    }
}

#[test]
fn every_algorithm_lets_its_own_tokens_pass_and_no_others() {
    let guard = Guard::new(json!({ "keys": ALL.map(key) }));
    for algorithm in ALL {
        let token = token(algorithm, &claims(json!({})));
        assert_eq!(guard.judge(&token), Ok(vec![Some("joe".to_owned())]), "{algorithm}");
        let alone = Guard::new(json!({ "keys": [key(algorithm)] }));
        assert!(alone.judge(&token).is_ok(), "{algorithm}");
        for other in ALL.into_iter().filter(|other| *other != algorithm) {
            let without = Guard::new(json!({ "keys": [key(other)] }));
            invalid(&without, &token, "algorithm is not allowed");
            // The same signature under another name.
            let (_, rest) = token.split_once('.').unwrap();
            let header = base64url::encode(json!({ "alg": other, "typ": "JWT" }).to_string().as_bytes());
            invalid(&guard, &format!("{header}.{rest}"), "does not verify");
        }
    }
}

#[test]
fn none_is_nothing_in_any_spelling() {
    let guard = Guard::new(json!({}));
    for alg in ["none", "None", "NONE", "nOnE", "", " none", "hs256", "HS256 ", "HS1", "RS1", "RSA1_5", "dir"] {
        let header = json!({ "alg": alg }).to_string();
        let signed = token_of(&header, &claims(json!({})).to_string(), |data| sign("HS256", data));
        invalid(&guard, &signed, "algorithm is not allowed");
        invalid(&guard, signed.rsplit_once('.').unwrap().0, "malformed");
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        invalid(&guard, &unsigned, "not signed");
    }
    for header in [r#"{}"#, r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":256}"#, r#"{"ALG":"HS256"}"#] {
        invalid(&guard, &token_of(header, "{}", |data| sign("HS256", data)), "names no algorithm");
    }
    assert_eq!(guard.gateway.tries.get(), 0, "none of them is worth a verification");
}

#[test]
fn a_public_key_is_no_secret() {
    let both = Guard::new(json!({ "keys": [key("RS256"), key("HS256")] }));
    let only = Guard::new(json!({ "keys": [key("RS256")] }));
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let claims = claims(json!({})).to_string();
    for secret in [rsa_public_key(), base64url::encode(&rsa_public_key()).into_bytes(), b"rsa".to_vec(), Vec::new()] {
        let forged = token_of(header, &claims, |data| sign_with("HS256", &secret, data));
        invalid(&only, &forged, "algorithm is not allowed");
        invalid(&both, &forged, "does not verify");
    }
}

#[test]
fn keys_are_chosen_by_name() {
    let named = |kid: &str, algorithm: &str| {
        let mut key = key(algorithm);
        key["kid"] = kid.into();
        key
    };
    let with_kid = |algorithm: &str, kid: Value| {
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": kid }).to_string();
        token_of(&header, &claims(json!({})).to_string(), |data| sign(algorithm, data))
    };
    let guard = Guard::new(json!({ "keys": [named("a", "HS256"), named("b", "ES256")] }));
    assert!(guard.judge(&with_kid("HS256", "a".into())).is_ok());
    assert!(guard.judge(&with_kid("ES256", "b".into())).is_ok());
    assert!(guard.judge(&token("ES256", &claims(json!({})))).is_ok(), "may be left out");
    invalid(&guard, &with_kid("HS256", "b".into()), "no key fits");
    invalid(&guard, &with_kid("HS256", "c".into()), "no key fits");
    invalid(&guard, &with_kid("HS256", "A".into()), "no key fits");
    invalid(&guard, &with_kid("HS256", "".into()), "no key fits");
    invalid(&guard, &with_kid("HS256", "../../dev/null".into()), "no key fits");
    invalid(&guard, &with_kid("HS256", 1.into()), "malformed");
    invalid(&guard, &with_kid("HS256", Value::Null), "malformed");

    let guard = Guard::new(json!({ "keys": [named("a", "HS256")], "require_kid": true }));
    assert!(guard.judge(&with_kid("HS256", "a".into())).is_ok());
    invalid(&guard, &token("HS256", &claims(json!({}))), "does not name its key");
    let unnamed = Guard::new(json!({ "keys": [key("HS256")], "require_kid": true }));
    assert!(unnamed.judge(&with_kid("HS256", "any".into())).is_ok());
    invalid(&unnamed, &token("HS256", &claims(json!({}))), "does not name its key");
}

#[test]
fn several_keys_are_tried_and_each_keeps_to_its_issuer() {
    let other = json!({ "secret": "another secret, that is longer than 32 bytes", "algorithms": ["HS256"] });
    let guard = Guard::new(json!({ "keys": [other, key("HS256")] }));
    assert_eq!(guard.status(&claims(json!({}))), 200);
    assert_eq!(guard.gateway.tries.get(), 2);

    let mut of_issuer = key("HS256");
    of_issuer["issuer"] = "https://a".into();
    let guard = Guard::new(json!({ "keys": [of_issuer, key("ES256")], "issuers": ["https://a", "https://b"] }));
    assert_eq!(guard.status(&claims(json!({ "iss": "https://a" }))), 200);
    assert_eq!(guard.status(&claims(json!({ "iss": "https://b" }))), 401);
    assert_eq!(guard.status(&claims(json!({}))), 401);
    assert!(guard.judge(&token("ES256", &claims(json!({ "iss": "https://b" })))).is_ok());
}

#[test]
fn headers_that_are_not_understood_are_refused() {
    let guard = Guard::new(json!({}));
    let with = |header: &str| token_of(header, &claims(json!({})).to_string(), |data| sign("HS256", data));
    for good in [
        r#"{"alg":"HS256"}"#,
        r#" { "typ" : "jwt" , "alg" : "HS256" } "#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"application/at+JWT"}"#,
        r#"{"alg":"\u0048S256"}"#,
        r#"{"alg":"HS256","jku":"https://evil","jwk":{"kty":"oct","k":"x"},"x5u":"y","x5c":[],"cty":"JWT","b64":true}"#,
    ] {
        assert!(guard.judge(&with(good)).is_ok(), "{good}");
    }
    for (bad, why) in [
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, "extension"),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "extension"),
        (r#"{"alg":"HS256","crit":[]}"#, "extension"),
        (r#"{"alg":"HS256","crit":null}"#, "extension"),
        (r#"{"alg":"HS256","\u0063rit":["x"]}"#, "extension"),
        (r#"{"alg":"HS256","typ":"logout+jwt"}"#, "another type"),
        (r#"{"alg":"HS256","typ":"JWE"}"#, "another type"),
        (r#"{"alg":"HS256","typ":""}"#, "another type"),
        (r#"{"alg":"HS256","typ":1}"#, "another type"),
        (r#"{"alg":"HS256","alg":"none"}"#, "malformed"),
        (r#"{"alg":"HS256","\u0061lg":"none"}"#, "malformed"),
        (r#"{"alg":"HS256","x":1,"x":1}"#, "malformed"),
        (r#"["HS256"]"#, "malformed"),
        (r#"{"alg":"HS256""#, "malformed"),
        ("", "malformed"),
    ] {
        invalid(&guard, &with(bad), why);
    }
    let many: Vec<_> = (0..40).map(|index| format!("\"x{index}\":1")).collect();
    invalid(&guard, &with(&format!("{{\"alg\":\"HS256\",{}}}", many.join(","))), "malformed");
    assert_eq!(guard.gateway.tries.get(), 6);

    let typed = Guard::new(json!({ "types": ["application/AT+jwt"] }));
    assert!(typed.judge(&with(r#"{"alg":"HS256","typ":"at+jwt"}"#)).is_ok());
    invalid(&typed, &with(r#"{"alg":"HS256","typ":"JWT"}"#), "another type");
    invalid(&typed, &with(r#"{"typ":"JWT","alg":"HS256"}"#), "another type");
    invalid(&typed, &with(r#"{"alg":"HS256"}"#), "another type");
}

#[test]
fn what_is_not_one_compact_token_is_malformed() {
    let guard = Guard::new(json!({}));
    let good = token("HS256", &claims(json!({})));
    assert!(guard.judge(&good).is_ok());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        header.to_owned(),
        signed.to_owned(),
        format!("{good}.x"),
        format!(".{good}"),
        format!("{good}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}, {good}"),
        format!("{good} {good}"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        good.replace('.', " ."),
        good.replacen('e', "é", 1),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
    ] {
        assert!(guard.judge(&bad).is_err(), "{bad}");
    }
    // The last character of 32 bytes carries two bits that must be zero: one signature, one spelling.
    let mut respelt = good.clone().into_bytes();
    let last = respelt.last_mut().unwrap();
    *last += 1;
    invalid(&guard, std::str::from_utf8(&respelt).unwrap(), "malformed");
}

#[test]
fn changed_tokens_do_not_verify() {
    let guard = Guard::new(json!({ "keys": [key("HS256"), key("ES256")] }));
    for algorithm in ["HS256", "ES256"] {
        let good = token(algorithm, &claims(json!({})));
        let other = token(algorithm, &claims(json!({ "sub": "admin" })));
        let signature = other.rsplit_once('.').unwrap().1;
        invalid(&guard, &format!("{}.{signature}", good.rsplit_once('.').unwrap().0), "does not verify");
        let zeros = base64url::encode(&[0; 64]);
        invalid(&guard, &format!("{}.{zeros}", good.rsplit_once('.').unwrap().0), "does not verify");
        let short = base64url::encode(&sign(algorithm, b"x")[..16]);
        invalid(&guard, &format!("{}.{short}", good.rsplit_once('.').unwrap().0), "does not verify");
    }
}

#[test]
fn claims_that_can_be_read_in_two_ways_are_refused() {
    let guard = Guard::new(json!({}));
    let with = |claims: &[u8]| {
        let signed = format!("{}.{}", base64url::encode(br#"{"alg":"HS256","typ":"JWT"}"#), base64url::encode(claims));
        format!("{signed}.{}", base64url::encode(&sign("HS256", signed.as_bytes())))
    };
    let exp = NOW + 1;
    let nested = format!("{{\"exp\":{exp},\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    for bad in [
        format!("{{\"exp\":{exp},\"sub\":\"joe\",\"sub\":\"admin\"}}"),
        format!("{{\"exp\":1,\"exp\":{exp}}}"),
        format!("{{\"exp\":{exp},\"x\":1,\"x\":2}}"),
        format!("[{{\"exp\":{exp}}}]"),
        format!("{{\"exp\":{exp}}} {{}}"),
        format!("\u{feff}{{\"exp\":{exp}}}"),
        format!("{{\"exp\":{exp},}}"),
        nested,
        "null".to_owned(),
        "\"\"".to_owned(),
        String::from("{}{}"),
    ] {
        invalid(&guard, &with(bad.as_bytes()), "not a JSON object");
    }
    invalid(&guard, &with(b"{\"exp\":1800000001,\"sub\":\"\xff\"}"), "malformed");
    assert!(guard.judge(&with(format!(" {{ \"exp\" : {exp} }}\n").as_bytes())).is_ok());
}

#[test]
fn times_are_exact_to_the_leeway() {
    let guard = Guard::new(json!({ "leeway_seconds": 10 }));
    let check =
        |changes: Value, expected: u16| assert_eq!(guard.status(&claims(changes.clone())), expected, "{changes}");
    check(json!({ "exp": NOW + 1 }), 200);
    check(json!({ "exp": NOW - 9 }), 200);
    check(json!({ "exp": NOW - 10 }), 401);
    check(json!({ "exp": NOW as f64 - 9.5 }), 200);
    check(json!({ "exp": 1.8e9 }), 200);
    check(json!({ "exp": null }), 401);
    check(json!({ "nbf": NOW + 10 }), 200);
    check(json!({ "nbf": NOW as f64 + 10.5 }), 401);
    check(json!({ "nbf": NOW + 11 }), 401);
    check(json!({ "iat": NOW + 10 }), 200);
    check(json!({ "iat": NOW + 11 }), 401);
    check(json!({ "iat": 0 }), 200);
    for name in ["exp", "nbf", "iat"] {
        for bad in
            [json!("1900000000"), json!(true), json!([NOW]), json!({}), json!(-1), json!(NOW * 1000), json!(1e300)]
        {
            check(json!({ name: bad }), 401);
        }
    }
    let huge = token_of(r#"{"alg":"HS256"}"#, "{\"exp\":1e999}", |data| sign("HS256", data));
    invalid(&guard, &huge, "not in seconds");
    let null = token_of(r#"{"alg":"HS256"}"#, "{\"exp\":null}", |data| sign("HS256", data));
    invalid(&guard, &null, "wrong type");

    let strict = Guard::new(json!({ "leeway_seconds": 0 }));
    assert_eq!(strict.status(&claims(json!({ "exp": NOW }))), 401);
    assert_eq!(strict.status(&claims(json!({ "exp": NOW + 1, "nbf": NOW, "iat": NOW }))), 200);

    let without = Guard::new(json!({ "require_exp": false }));
    assert_eq!(without.status(&claims(json!({ "exp": null }))), 200);
    assert_eq!(without.status(&claims(json!({ "exp": NOW - 31 }))), 401);
    assert_eq!(without.status(&claims(json!({ "exp": "never" }))), 401);

    let young = Guard::new(json!({ "max_age_seconds": 60, "leeway_seconds": 0 }));
    assert_eq!(young.status(&claims(json!({ "iat": NOW - 59 }))), 200);
    assert_eq!(young.status(&claims(json!({ "iat": NOW - 60 }))), 401);
    assert_eq!(young.status(&claims(json!({}))), 401);
}

#[test]
fn issuer_audience_and_subject() {
    let guard =
        Guard::new(json!({ "issuers": ["https://a", "https://b"], "audiences": ["us", "we"], "require_sub": true }));
    let check = |changes: Value, expected: u16| {
        let mut with = claims(json!({ "iss": "https://a", "aud": "us" }));
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(with.as_object_mut().unwrap().remove(name)),
                value => with[name] = value.clone(),
            }
        }
        assert_eq!(guard.status(&with), expected, "{changes}");
    };
    check(json!({}), 200);
    check(json!({ "iss": "https://b", "aud": ["them", "we"] }), 200);
    check(json!({ "iss": null }), 401);
    check(json!({ "iss": "https://c" }), 401);
    check(json!({ "iss": "https://a/" }), 401);
    check(json!({ "iss": ["https://a"] }), 401);
    check(json!({ "aud": null }), 401);
    check(json!({ "aud": "them" }), 401);
    check(json!({ "aud": "us we" }), 401);
    check(json!({ "aud": [] }), 401);
    check(json!({ "aud": ["them"] }), 401);
    check(json!({ "aud": [["us"]] }), 401);
    check(json!({ "aud": ["us", 1] }), 401);
    check(json!({ "aud": 1 }), 401);
    check(json!({ "sub": null }), 401);
    check(json!({ "sub": 1 }), 401);

    let open = Guard::new(json!({}));
    for (changes, expected) in [
        (json!({ "sub": null }), 200),
        (json!({ "sub": 1 }), 401),
        (json!({ "iss": 1 }), 401),
        (json!({ "aud": [1] }), 401),
        (json!({ "iss": "x", "aud": ["y"] }), 200),
    ] {
        assert_eq!(open.status(&claims(changes.clone())), expected, "{changes}");
    }
}

#[test]
fn scopes_roles_and_values_decide_between_200_and_403() {
    let check = |config: &Value, cases: &[(Value, u16)]| {
        let guard = Guard::new(config.clone());
        for (changes, expected) in cases {
            assert_eq!(guard.status(&claims(changes.clone())), *expected, "{changes} with {config}");
        }
    };
    check(
        &json!({ "scopes": ["read", "write"] }),
        &[
            (json!({ "scope": "read write" }), 200),
            (json!({ "scope": "write admin read" }), 200),
            (json!({ "scp": ["write", "read"] }), 200),
            (json!({ "scp": "read write" }), 200),
            (json!({ "scope": "read" }), 403),
            (json!({ "scope": "read writes" }), 403),
            (json!({ "scope": "read,write" }), 403),
            (json!({ "scope": "READ WRITE" }), 403),
            (json!({ "scope": "", "scp": "read write" }), 403),
            (json!({ "scope": 1 }), 403),
            (json!({}), 403),
            (json!({ "exp": NOW - 100 }), 401),
        ],
    );
    check(
        &json!({ "roles": ["admin", "editor"], "roles_claim": "realm_access.roles" }),
        &[
            (json!({ "realm_access": { "roles": ["user", "editor"] } }), 200),
            (json!({ "realm_access": { "roles": "admin" } }), 200),
            (json!({ "realm_access": { "roles": ["user"] } }), 403),
            (json!({ "realm_access": { "roles": "admin user" } }), 403),
            (json!({ "realm_access": ["admin"] }), 403),
            (json!({ "roles": ["admin"] }), 403),
            (json!({}), 403),
        ],
    );
    check(&json!({ "roles": ["admin"] }), &[(json!({ "roles": ["admin"] }), 200), (json!({ "role": "admin" }), 403)]);
    let url = "https://example.com/roles";
    check(&json!({ "roles": ["a"], "roles_claim": url }), &[(json!({ url: ["a"] }), 200), (json!({}), 403)]);
    check(
        &json!({ "claims": [
            { "claim": "tenant", "equals": 9_007_199_254_740_993_u64 },
            { "claim": ["a.b", "c"], "one_of": ["x", true, 1.5] },
            { "claim": "groups", "contains": ["g1", "g2"] },
        ] }),
        &[
            (json!({ "tenant": 9_007_199_254_740_993_u64, "a.b": { "c": "x" }, "groups": ["g3", "g2", "g1"] }), 200),
            (json!({ "tenant": 9_007_199_254_740_993_u64, "a.b": { "c": true }, "groups": ["g1", "g2"] }), 200),
            (json!({ "tenant": 9_007_199_254_740_993_u64, "a.b": { "c": 1.5 }, "groups": ["g1", "g2"] }), 200),
            (json!({ "tenant": 9_007_199_254_740_992_u64, "a.b": { "c": "x" }, "groups": ["g1", "g2"] }), 403),
            (json!({ "tenant": "9007199254740993", "a.b": { "c": "x" }, "groups": ["g1", "g2"] }), 403),
            (json!({ "tenant": 9_007_199_254_740_993_u64, "a.b": { "c": "true" }, "groups": ["g1", "g2"] }), 403),
            (json!({ "tenant": 9_007_199_254_740_993_u64, "a.b": { "c": "x" }, "groups": ["g1"] }), 403),
            (json!({ "tenant": 9_007_199_254_740_993_u64, "a.b": { "c": "x" }, "groups": "g1" }), 403),
            (json!({}), 403),
        ],
    );
}

#[test]
fn claims_are_forwarded_as_text() {
    let guard = Guard::new(json!({
        "headers": { "x-roles": "realm_access.roles", "x-id": "id", "x-none": "none", "x-object": "realm_access" },
        "attributes": { "auth.issuer": "iss" },
    }));
    let given = claims(json!({ "iss": "https:/a", "id": 7, "realm_access": { "roles": ["a", "b,c"] } }));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        guard.judge(&token("HS256", &given)),
        Ok(vec![some("https:/a"), some("7"), None, None, some("a,b%2Cc")]),
        "attributes first, then headers by name"
    );
    let evil = claims(json!({ "iss": "a\r\nx-admin: 1" }));
    invalid(&guard, &token("HS256", &evil), "control characters");
}

#[test]
fn long_tokens_are_refused_unread() {
    let guard = Guard::new(json!({ "max_token_bytes": 300 }));
    let good = token("HS256", &claims(json!({})));
    assert!(good.len() <= 300 && guard.judge(&good).is_ok());
    let long = token("HS256", &claims(json!({ "x": "y".repeat(300) })));
    let tries = guard.gateway.tries.get();
    invalid(&guard, &long, "too long");
    assert_eq!(guard.gateway.tries.get(), tries);
    assert!(Guard::new(json!({})).judge(&long).is_ok());
}

#[test]
fn nothing_is_remembered_from_the_token_before() {
    let guard = Guard::new(json!({}));
    let (good, bad) = (token("HS256", &claims(json!({}))), token("HS256", &claims(json!({ "exp": 1 }))));
    let mut scratch = Scratch::default();
    let mut judge = |token: &str| authenticate(token.as_bytes(), &guard.settings, &mut scratch, &guard.gateway).is_ok();
    for (token, expected) in [(&good, true), (&bad, false), (&good, true), (&good, true), (&bad, false)] {
        assert_eq!(judge(token), expected);
    }
    assert_eq!(guard.gateway.tries.get(), 5, "every token is verified, the same one, too");
}

/// The comparison with encoded headers must give what reading them gives.
#[test]
fn usual_headers_are_read_alike() {
    let mut named = key("HS256");
    named["kid"] = "a b".into();
    for config in [
        json!({ "keys": [named.clone(), key("HS256"), key("ES256")] }),
        json!({ "keys": [named.clone(), key("HS256")], "require_kid": true }),
        json!({ "keys": [key("HS256")], "types": ["at+jwt"] }),
    ] {
        let guard = Guard::new(config.clone());
        for alg in ["HS256", "ES256", "none"] {
            for typ in [None, Some("JWT"), Some("at+jwt"), Some("x")] {
                for kid in [None, Some("a b"), Some("c")] {
                    let mut members = vec![format!("\"alg\":\"{alg}\"")];
                    members.extend(typ.map(|typ| format!("\"typ\":\"{typ}\"")));
                    members.extend(kid.map(|kid| format!("\"kid\":\"{kid}\"")));
                    let (alg, signer) = (alg, if alg == "none" { "HS256" } else { alg });
                    let claims = claims(json!({})).to_string();
                    let compact = token_of(&format!("{{{}}}", members.join(",")), &claims, |data| sign(signer, data));
                    members.reverse();
                    let spaced = token_of(&format!("{{ {} }}", members.join(", ")), &claims, |data| sign(signer, data));
                    assert_eq!(guard.judge(&compact), guard.judge(&spaced), "{alg} {typ:?} {kid:?} with {config}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn noise_is_refused_and_does_not_panic(token in r"[A-Za-z0-9_.=-]{0,200}") {
        let judged = Guard::new(json!({})).judge(&token);
        prop_assert!(judged.is_err());
    }

    #[test]
    fn no_changed_character_passes(at: prop::sample::Index, with in "[A-Za-z0-9_.-]") {
        let guard = Guard::new(json!({}));
        let good = token("HS256", &claims(json!({})));
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &with);
        prop_assert_eq!(guard.judge(&changed).is_ok(), changed == good);
    }

    #[test]
    fn signed_noise_does_not_panic(header in r#"\{("alg":"HS256"|"typ":"JWT"|"crit":\[\]|[{}",:a-z]){0,4}\}"#, claims in r#"\{("exp":[0-9eE.+-]{1,12}|"aud":\[|"a"|[\[\]{}",:0-9]){0,6}\}"#) {
        let guard = Guard::new(json!({ "audiences": ["a"], "roles": ["b"], "roles_claim": "a.b.c" }));
        let judged = guard.judge(&token_of(&header, &claims, |data| sign("HS256", data)));
        prop_assert!(judged.is_err());
    }
}
