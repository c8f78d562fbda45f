//! From configuration to edits: what helmet sends, what an operator can change, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use portcullis_sdk::serde_json::{self, Value, json};

use crate::config::Config;
use crate::plan::{Edit, Plan};

fn plan(config: Value) -> Result<Plan, String> {
    let config: Config = serde_json::from_value(config).map_err(|error| error.to_string())?;
    Plan::new(&config).map_err(|error| error.message().to_owned())
}

/// The edits as lines, for comparing.
fn lines(config: Value) -> Vec<String> {
    let line = |edit: &Edit| match edit {
        Edit::Set(name, value) => format!("{name}: {value}"),
        Edit::Default(name, value) => format!("{name}? {value}"),
        Edit::Remove(name) => format!("-{name}"),
    };
    plan(config).unwrap().edits.iter().map(line).collect()
}

/// `defaults: none` and this.
fn only(key: &str, value: Value) -> Value {
    json!({ "defaults": "none", key: value })
}

#[track_caller]
fn check(config: Value, expected: &[&str]) {
    assert_eq!(lines(config.clone()), expected, "{config}");
}

#[track_caller]
fn refused(config: Value, part: &str) {
    let error = plan(config.clone()).expect_err(&format!("{config} is taken"));
    assert!(error.contains(part), "{error}");
}

#[test]
fn the_default_is_what_helmet_sends() {
    let expected = [
        "-server",
        "-x-powered-by",
        "content-security-policy: default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';\
         frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';\
         style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "origin-agent-cluster: ?1",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
        "x-dns-prefetch-control: off",
        "x-download-options: noopen",
        "x-frame-options: SAMEORIGIN",
        "x-permitted-cross-domain-policies: none",
        "x-xss-protection: 0",
    ];
    check(json!({}), &expected);
    let hsts = Edit::Set("strict-transport-security".into(), "max-age=31536000; includeSubDomains".into());
    assert_eq!(plan(json!({})).unwrap().secure_only, Some(hsts));
}

#[test]
fn a_set_can_be_written_out_exactly() {
    let config = json!({
        "defaults": "none",
        "hsts_over_http": true,
        "strict_transport_security": true,
        "x_content_type_options": true,
        "x_frame_options": "DENY",
        "referrer_policy": "strict-origin-when-cross-origin",
        "content_security_policy": "default-src 'self'",
        "cross_origin_opener_policy": true,
        "cross_origin_resource_policy": "same-origin",
        "permissions_policy": "camera=(), microphone=(), geolocation=()",
    });
    let mut lines = lines(config);
    lines.sort();
    let expected = [
        "content-security-policy: default-src 'self'",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "permissions-policy: camera=(), microphone=(), geolocation=()",
        "referrer-policy: strict-origin-when-cross-origin",
        "strict-transport-security: max-age=31536000; includeSubDomains",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn every_header_can_be_switched_off() {
    let off = json!({
        "content_security_policy": false, "strict_transport_security": false, "cross_origin_opener_policy": false,
        "cross_origin_embedder_policy": false, "cross_origin_resource_policy": false, "origin_agent_cluster": false,
        "referrer_policy": false, "permissions_policy": false, "x_content_type_options": false,
        "x_dns_prefetch_control": false, "x_download_options": false, "x_frame_options": false,
        "x_permitted_cross_domain_policies": false, "x_xss_protection": false, "reporting_endpoints": false,
        "content_security_policy_report_only": false, "remove": [],
    });
    let plan = plan(off).unwrap();
    assert_eq!(plan, Plan { edits: vec![], secure_only: None, nonced: vec![] });
}

#[test]
fn structured_values_are_composed() {
    check(only("cross_origin_embedder_policy", json!(true)), &["cross-origin-embedder-policy: require-corp"]);
    check(
        only("permissions_policy", json!({ "camera": [], "geolocation": ["self", "https://a.example"], "usb": ["*"] })),
        &["permissions-policy: camera=(), geolocation=(self \"https://a.example\"), usb=*"],
    );
    check(
        only("reporting_endpoints", json!({ "csp": "https://r.example/a\"b" })),
        &["reporting-endpoints: csp=\"https://r.example/a\\\"b\""],
    );
    let config = json!({ "defaults": "none", "hsts_over_http": true,
        "strict_transport_security": { "max_age": 60, "include_subdomains": false, "preload": true } });
    check(config, &["strict-transport-security: max-age=60; preload"]);
    check(only("extra", json!({ "X-Robots-Tag": "noindex", "via": false })), &["x-robots-tag: noindex", "-via"]);
    check(only("remove", json!(["X-AspNet-Version"])), &["-x-aspnet-version"]);
}

#[test]
fn kept_headers_are_only_set_where_they_are_absent() {
    let config = json!({ "defaults": "none", "x_frame_options": true, "keep": ["X-Frame-Options"] });
    check(config, &["x-frame-options? SAMEORIGIN"]);
}

#[test]
fn a_policy_starts_from_helmet_or_from_nothing() {
    let directives = json!({ "img-src": ["*"], "upgrade-insecure-requests": false, "worker-src": "'self' blob:" });
    let config = only("content_security_policy", json!({ "directives": directives }));
    let whole = lines(config).join("");
    assert!(whole.contains(";img-src *;"), "{whole}");
    assert!(whole.ends_with("'unsafe-inline';worker-src 'self' blob:"), "{whole}");
    let bare = json!({ "use_defaults": false, "directives": { "default-src": ["'none'"], "sandbox": true } });
    check(only("content_security_policy", bare), &["content-security-policy: default-src 'none';sandbox"]);
}

#[test]
fn report_only_has_its_own_header_or_takes_the_place() {
    let policy = json!({ "use_defaults": false, "directives": { "default-src": "'self'" }, "report_only": true });
    let expected = ["content-security-policy-report-only: default-src 'self'"];
    check(only("content_security_policy", policy.clone()), &expected);
    let mut both = only("content_security_policy", policy);
    both["content_security_policy_report_only"] = json!("default-src 'none'");
    refused(both, "exclude each other");
}

#[test]
fn a_nonce_goes_where_it_is_asked_for() {
    let policy = json!({ "use_defaults": false, "nonce": ["script-src", "style-src"],
        "directives": { "default-src": ["'self'"], "script-src": ["'none'"] } });
    let plan = plan(only("content_security_policy", policy)).unwrap();
    let (name, template) = &plan.nonced[0];
    assert_eq!(*name, "content-security-policy");
    assert_eq!(template.fill("abc"), "default-src 'self';script-src 'nonce-abc';style-src 'self' 'nonce-abc'");
    assert!(plan.edits.is_empty());
}

#[test]
fn a_nonce_in_a_text_has_a_placeholder() {
    let text = "script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'";
    let plan = plan(only("content_security_policy_report_only", json!(text))).unwrap();
    assert_eq!(plan.nonced[0].1.fill("x"), "script-src 'nonce-x'; style-src 'nonce-x'");
}

#[test]
fn mistakes_are_refused_with_what_to_write() {
    refused(json!({ "x_frame_option": true }), "unknown field `x_frame_option`");
    refused(json!({ "x_frame_options": "ALLOW" }), "it knows SAMEORIGIN, DENY");
    refused(json!({ "referrer_policy": "origin, orign" }), "`orign` means nothing");
    refused(json!({ "strict_transport_security": "includeSubDomains" }), "`max-age=SECONDS` is missing");
    let directives = |value: Value| json!({ "content_security_policy": { "directives": value } });
    refused(directives(json!({ "script-src": ["self"] })), "must be written `'self'`");
    refused(directives(json!({ "script_src": ["'self'"] })), "is not a directive");
    refused(directives(json!({ "script-src": ["a;b"] })), "has no `;`");
    refused(json!({ "content_security_policy": { "nonce": ["img-src"] } }), "a nonce means nothing in `img-src`");
    refused(json!({ "content_security_policy": { "use_defaults": false } }), "no directive is left");
    refused(json!({ "content_security_policy": "x {nonce}", "keep": ["content-security-policy"] }), "needs a nonce");
    refused(json!({ "reporting_endpoints": true }), "name an endpoint");
    refused(json!({ "permissions_policy": { "Camera": [] } }), "`Camera` is not a name");
    refused(json!({ "extra": { "x-a": true } }), "`true` is no value");
}
