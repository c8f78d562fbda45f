//! `jwt-auth` as users meet it: who passes, who does not and what they are told, what the upstream learns.

use portcullis_tests::token::{Signer, now, unsigned};
use portcullis_tests::{Gateway, Origin, Request, Response, Setup, Value, json};

const SECRET: &str = "a secret for tests, long enough for HS512: 0123456789012345678901234567890";

async fn with(config: Value) -> (Origin, Gateway) {
    let origin = Origin::saying("hello").await;
    let entry = json!({ "config": config, "grants": ["log", "metrics", "clock", "crypto"] });
    let gateway = Setup::to(&origin).plugin("jwt-auth", entry).start().await;
    (origin, gateway)
}

fn hs256() -> Signer {
    Signer::hmac("HS256", SECRET)
}

fn hs256_key() -> Value {
    json!({ "secret": SECRET, "algorithms": ["HS256"] })
}

/// Claims that nobody objects to, with these changes (null removes).
fn claims(changes: &Value) -> Value {
    let mut claims = json!({ "iss": "tests", "aud": "api", "sub": "ann", "iat": now(), "exp": now() + 600 });
    portcullis_tests::setup::merge(&mut claims, changes);
    claims
}

async fn present(gateway: &Gateway, token: &str) -> Response {
    gateway.send(Request::get("/").bearer(token)).await
}

fn is_refused(response: &Response, status: u16, error: Option<&str>) {
    let challenge = response.value("www-authenticate").unwrap_or_default();
    assert_eq!(response.status, status, "{challenge} {}", response.text());
    assert!(challenge.starts_with("Bearer"), "{challenge}");
    // RFC 6750 section 3.1: no error code where there was no token at all.
    let told = challenge.split("error=\"").nth(1).map(|rest| rest.split('"').next().unwrap());
    assert_eq!(told, error, "{challenge}");
}

#[tokio::test]
async fn every_algorithm_verifies_with_its_own_key_only() {
    for algorithm in ["HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let fresh = |secret: &str| match algorithm {
            "HS256" | "HS384" | "HS512" => Signer::hmac(algorithm, secret),
            _ => Signer::fresh(algorithm),
        };
        let (ours, theirs) =
            (fresh(SECRET), fresh("another secret that is long enough for HS512 as well: 0123456789012345"));
        let (_origin, gateway) = with(json!({ "keys": [{ "jwk": ours.jwk("k1"), "algorithms": [algorithm] }] })).await;
        assert_eq!(present(&gateway, &ours.token(&claims(&json!({})))).await.status, 200, "{algorithm}");
        is_refused(&present(&gateway, &theirs.token(&claims(&json!({})))).await, 401, Some("invalid_token"));
    }
}

#[tokio::test]
async fn forged_and_broken_tokens_do_not_pass() {
    let (origin, gateway) = with(json!({ "keys": [hs256_key()], "issuers": ["tests"], "audiences": ["api"] })).await;
    let good = hs256().token(&claims(&json!({})));
    assert_eq!(present(&gateway, &good).await.status, 200);
    is_refused(&gateway.get("/").await, 401, None);

    let parts: Vec<&str> = good.split('.').collect();
    let root = hs256().token(&claims(&json!({ "sub": "root" })));
    let changed = format!("{}.{}.{}", parts[0], root.split('.').nth(1).unwrap(), parts[2]);
    let header = |header: Value| hs256().token_with(&header, &claims(&json!({})));
    let with_claims = |changes: Value| hs256().token(&claims(&changes));
    let bad = [
        ("garbage", "a.b.c".to_owned()),
        ("no dots", "token".to_owned()),
        ("changed", changed),
        ("cut", good[..good.len() - 4].to_owned()),
        ("alg none", unsigned(&claims(&json!({})))),
        ("other alg", Signer::hmac("HS512", SECRET).token(&claims(&json!({})))),
        ("alg that lies", header(json!({ "alg": "HS512", "typ": "JWT" }))),
        ("no alg", header(json!({ "typ": "JWT" }))),
        ("crit", header(json!({ "alg": "HS256", "crit": ["x"], "x": 1 }))),
        ("typ", header(json!({ "alg": "HS256", "typ": "secevent+jwt" }))),
        ("expired", with_claims(json!({ "exp": now() - 120 }))),
        ("without exp", with_claims(json!({ "exp": null }))),
        ("exp as text", with_claims(json!({ "exp": "soon" }))),
        ("not yet", with_claims(json!({ "nbf": now() + 120 }))),
        ("from the future", with_claims(json!({ "iat": now() + 120 }))),
        ("other issuer", with_claims(json!({ "iss": "somebody" }))),
        ("no issuer", with_claims(json!({ "iss": null }))),
        ("other audience", with_claims(json!({ "aud": ["web", "app"] }))),
        ("claims are a list", hs256().token(&json!([1]))),
    ];
    let before = origin.seen().len();
    for (what, token) in bad {
        let response = present(&gateway, &token).await;
        assert_eq!(response.status, 401, "{what}");
        is_refused(&response, 401, Some("invalid_token"));
    }
    let basic = gateway.send(Request::get("/").field("Authorization", "Basic eDp5")).await;
    is_refused(&basic, 401, None);
    assert_eq!(origin.seen().len(), before, "a refused request reached the origin");

    // Within the leeway, and one audience among several.
    assert_eq!(present(&gateway, &with_claims(json!({ "exp": now() - 5 }))).await.status, 200);
    assert_eq!(present(&gateway, &with_claims(json!({ "aud": ["web", "api"] }))).await.status, 200);
}

#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    // RFC 8725 section 2.1: the confusion of algorithms.
    let signer = Signer::fresh("RS256");
    let jwk = signer.jwk("k");
    let (_origin, gateway) = with(json!({ "keys": [{ "jwk": jwk, "algorithms": ["RS256"] }] })).await;
    for secret in [jwk.to_string(), jwk["n"].as_str().unwrap().to_owned()] {
        let forged = Signer::hmac("HS256", &secret).token(&claims(&json!({})));
        is_refused(&present(&gateway, &forged).await, 401, Some("invalid_token"));
    }
}

#[tokio::test]
async fn kid_chooses_among_the_keys_of_a_set() {
    let (one, two) = (Signer::fresh("ES256"), Signer::fresh("EdDSA"));
    let jwks = json!({ "keys": [one.jwk("one"), two.jwk("two"), { "kty": "XYZ", "kid": "odd" }] });
    let (_origin, gateway) = with(json!({ "keys": [{ "jwks": jwks }] })).await;
    let signed = |signer: &Signer, algorithm: &str, kid: &str| {
        signer.token_with(&json!({ "alg": algorithm, "kid": kid }), &claims(&json!({})))
    };
    assert_eq!(present(&gateway, &signed(&one, "ES256", "one")).await.status, 200);
    assert_eq!(present(&gateway, &signed(&two, "EdDSA", "two")).await.status, 200);
    assert_eq!(present(&gateway, &signed(&one, "ES256", "two")).await.status, 401);
    assert_eq!(present(&gateway, &signed(&one, "ES256", "three")).await.status, 401);
}

#[tokio::test]
async fn the_token_may_be_in_a_cookie_a_query_or_another_header() {
    let tokens =
        json!([{ "header": "authorization" }, { "header": "x-token" }, { "cookie": "session" }, { "query": "t" }]);
    let (origin, gateway) = with(json!({ "keys": [hs256_key()], "tokens": tokens, "strip_token": true })).await;
    let token = hs256().token(&claims(&json!({})));
    let get = Request::get;
    for request in [
        get("/?a=b").bearer(&token),
        get("/?a=b").field("X-Token", &token),
        get("/?a=b").field("Cookie", format!("x=y; session={token}; z=1")),
        get(&format!("/?a=b&t={token}")),
    ] {
        assert_eq!(gateway.send(request).await.status, 200);
        let seen = origin.last();
        let everything = format!("{} {:?}", seen.target, seen.fields);
        assert!(!everything.contains(&token), "the upstream got the token: {everything}");
        assert_eq!(seen.target, "/?a=b");
    }
}

#[tokio::test]
async fn claims_go_upstream_and_cannot_be_forged() {
    let (origin, gateway) = with(json!({
        "keys": [hs256_key()],
        "headers": { "x-user": "sub", "x-groups": "groups", "x-city": "address.city", "x-none": "none" },
    }))
    .await;
    let token = hs256().token(&claims(&json!({ "groups": ["a", "b"], "address": { "city": "Trier" } })));
    let request = Request::get("/").bearer(&token);
    gateway.send(request.field("X-User", "root").field("x-none", "forged").field("X-USER", "admin")).await;
    let seen = origin.last();
    assert_eq!((seen.value("x-user"), seen.value("x-groups")), (Some("ann"), Some("a,b")));
    assert_eq!((seen.value("x-city"), seen.value("x-none")), (Some("Trier"), None));
}

#[tokio::test]
async fn an_optional_token_may_be_absent_but_not_bad() {
    let config = json!({ "keys": [hs256_key()], "optional": true, "headers": { "x-user": "sub" } });
    let (origin, gateway) = with(config).await;
    assert_eq!(gateway.send(Request::get("/").field("X-User", "root")).await.status, 200);
    assert_eq!(origin.last().value("x-user"), None);
    is_refused(&present(&gateway, "a.b.c").await, 401, Some("invalid_token"));
    assert_eq!(present(&gateway, &hs256().token(&claims(&json!({})))).await.status, 200);
    assert_eq!(origin.last().value("x-user"), Some("ann"));
}

#[tokio::test]
async fn routes_ask_for_scopes_roles_and_claims() {
    let origin = Origin::saying("hello").await;
    let route = |name: &str, demand: Value| {
        json!({
            "name": name, "match": { "path": format!("/{name}") }, "proxy": { "upstream": "origin" },
            "plugins": { "jwt-auth": { "config": demand } },
        })
    };
    let entry = json!({ "config": { "keys": [hs256_key()] }, "grants": ["log", "metrics", "clock", "crypto"] });
    let gateway = Setup::to(&origin)
        .plugin("jwt-auth", entry)
        .route(route("scopes", json!({ "scopes": ["read", "write"] })))
        .route(route("roles", json!({ "roles": ["admin", "owner"] })))
        .route(route("claims", json!({ "claims": [{ "claim": "plan", "equals": "gold" }] })))
        .route(json!({
            "name": "open", "match": { "path": "/open" }, "proxy": { "upstream": "origin" }, "plugins": { "jwt-auth": false },
        }))
        .start()
        .await;
    let ask = async |target: &str, changes: Value| {
        gateway.send(Request::get(target).bearer(&hs256().token(&claims(&changes)))).await
    };
    assert_eq!(ask("/scopes", json!({ "scope": "write x read" })).await.status, 200);
    let refused = ask("/scopes", json!({ "scope": "read" })).await;
    is_refused(&refused, 403, Some("insufficient_scope"));
    assert!(refused.value("www-authenticate").unwrap().contains("scope=\"read write\""), "RFC 6750 section 3");
    assert_eq!(ask("/roles", json!({ "roles": ["user", "owner"] })).await.status, 200);
    assert_eq!(ask("/roles", json!({ "roles": ["user"] })).await.status, 403);
    assert_eq!(ask("/claims", json!({ "plan": "gold" })).await.status, 200);
    assert_eq!(ask("/claims", json!({ "plan": "tin" })).await.status, 403);
    assert_eq!(gateway.get("/scopes").await.status, 401);
    assert_eq!(gateway.get("/open").await.status, 200);
}

#[tokio::test]
async fn the_subject_is_an_attribute_for_later_plugins() {
    let origin = Origin::saying("hello").await;
    let entry = json!({ "config": { "keys": [hs256_key()] }, "grants": ["log", "metrics", "clock", "crypto"] });
    let gateway = Setup::to(&origin)
        .plugin("jwt-auth", entry)
        .guest("attribute-reader", json!({ "names": ["auth.subject"] }))
        .start()
        .await;
    assert_eq!(
        present(&gateway, &hs256().token(&claims(&json!({})))).await.value("x-attribute-auth.subject"),
        Some("ann")
    );
}

#[tokio::test]
async fn keys_come_from_a_file_and_change_with_it() {
    let origin = Origin::saying("hello").await;
    let (old, new) = (Signer::fresh("ES256"), Signer::fresh("ES256"));
    let set = |signer: &Signer| json!({ "keys": [signer.jwk("k1")] }).to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, set(&old)).unwrap();
    let keys = json!([{ "jwks": { "$file": path }, "algorithms": ["ES256"] }]);
    let entry = json!({ "config": { "keys": keys }, "grants": ["log", "metrics", "clock", "crypto"] });
    let gateway = Setup::to(&origin).plugin("jwt-auth", entry).start().await;
    let (with_old, with_new) = (old.token(&claims(&json!({}))), new.token(&claims(&json!({}))));
    assert_eq!(present(&gateway, &with_old).await.status, 200);
    assert_eq!(present(&gateway, &with_new).await.status, 401);

    std::fs::write(&path, set(&new)).unwrap();
    let request = Request::get("/").bearer(&with_new);
    gateway.until("the new keys", request, |response| response.status == 200).await;
    assert_eq!(present(&gateway, &with_old).await.status, 401);
}
