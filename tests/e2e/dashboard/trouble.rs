//! What goes wrong and who is kept out, as the dashboard tells it: advice, failed calls, certificates, limits, bans.

use std::time::{Duration, SystemTime};

use portcullis_tests::{Gateway, Load, Origin, Page, Request, Response, Setup, Value, json};
use rcgen::{CertificateParams, KeyPair};

use super::{confirm, dashboard, expect_quiet, notice, origin, view};

/// The text of a section.
fn section(name: &str) -> String {
    format!("document.querySelector('[aria-labelledby={name}-title]')?.innerText")
}

/// A gateway of which a plugin is slow, another traps, and others are held to limits.
fn setup(origin: &Origin) -> Setup {
    let limits =
        json!({ "limits": [{ "name": "per-client", "requests": 5, "window": "1h", "key": ["header:x-client"] }] });
    let route = |name: &str, more: Value| {
        let mut route =
            json!({ "name": name, "match": { "path": format!("/{name}") }, "proxy": { "upstream": "origin" } });
        portcullis_tests::setup::merge(&mut route, &more);
        route
    };
    Setup::to(origin)
        .guest_as("slow-hook", "slow-hook", json!({ "grants": ["clock"], "routes": ["slow"], "config": { "ms": 80 } }))
        .guest_as("trap-in", "trap-in", json!({ "routes": ["traps"], "config": { "hook": "pre-handler" } }))
        .plugin(
            "rate-limit",
            json!({ "grants": ["limits", "metrics", "log"], "routes": ["limited"], "config": limits }),
        )
        .route(route("slow", json!({})))
        .route(route("traps", json!({})))
        .route(route("limited", json!({})))
        .route(route("adaptive", json!({ "concurrency": { "initial": 7 } })))
        .route(route("private", json!({ "addresses": { "allow": ["192.0.2.0/24"] }, "headers_max": 30 })))
        .patch(&json!({ "bans": { "after": 1000 } }))
}

fn any(_: &Response) -> Result<(), String> {
    Ok(())
}

/// The listener shows a certificate for `shop.example` that is good for so many days.
fn certified(setup: Setup, days: u64) -> Setup {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
    params.not_after = (SystemTime::now() + Duration::from_secs(days * 86_400 + 3600)).into();
    let certificate = params.self_signed(&key).unwrap();
    let files = json!({ "certificate": "plugins/own.pem", "key": "plugins/own.key" });
    let listeners =
        json!([{ "address": "127.0.0.1:0" }, { "address": "127.0.0.1:0", "tls": { "certificates": [files] } }]);
    setup
        .file("own.pem", certificate.pem().into_bytes())
        .file("own.key", key.serialize_pem().into_bytes())
        .patch(&json!({ "listeners": listeners }))
}

#[tokio::test]
async fn advice_failed_calls_and_certificates_are_told() {
    let origin = origin().await;
    let gateway = certified(setup(&origin), 5).start().await;
    let load = Load::start(&gateway, 2, &Request::get("/slow"), any);
    let mut trapped = Vec::new();
    for _ in 0..3 {
        trapped.push(gateway.get("/traps").await.value("x-request-id").unwrap_or_default().to_owned());
    }
    let mut page = dashboard(&gateway, 1280).await;
    // Advice is there by itself, and leads to what it is about.
    page.until("the advice", "document.querySelector('.advice .badge')?.textContent.includes('slow plugin')").await;
    page.click(".advice a \"slow-hook\"").await;
    page.until("the slow plugin", "document.querySelector('#main h1')?.textContent === 'slow-hook'").await;
    load.stop().await;

    view(&mut page, "Plugins").await;
    page.click("[data-name=trap-in] h3 a").await;
    let traps = page.until("the traps", &format!("{}?.includes('unreachable') && {0}", section("traps"))).await;
    let traps = traps.as_str().unwrap();
    for words in ["trap", "3 of the last 3", "in pre-handler on route traps", trapped.last().unwrap()] {
        assert!(traps.contains(words), "{words} is not in {traps}");
    }
    page.click("[aria-labelledby=traps-title] summary").await;
    page.until(
        "the backtrace",
        "document.querySelector('[aria-labelledby=traps-title] pre')?.textContent.includes('pre-handler')",
    )
    .await;

    view(&mut page, "Operations").await;
    let certificates =
        page.until("the certificate", &format!("{}?.includes('shop.example') && {0}", section("certificates"))).await;
    let certificates = certificates.as_str().unwrap();
    assert!(certificates.contains("in 5 days"), "{certificates}");
    assert_eq!(
        page.value("document.querySelector('[aria-labelledby=certificates-title] .badge').className").await,
        json!("badge bad")
    );
    expect_quiet(&page, &gateway).await;
}

#[tokio::test]
async fn limits_and_who_was_refused_are_told() {
    let origin = origin().await;
    let gateway = setup(&origin).start().await;
    for _ in 0..8 {
        gateway.send(Request::get("/limited").field("X-Client", "greedy")).await;
    }
    assert_eq!(gateway.get("/private").await.status, 403);
    gateway.get("/adaptive").await;
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Protection").await;
    let row = |section: &str, name: &str| {
        format!(
            "[...document.querySelectorAll('[aria-labelledby={section}-title] tr')].find(row => row.cells[0]?.textContent === {name:?})?.innerText"
        )
    };
    let limit = page.until("the limit", &row("rates", "per-client")).await;
    let cells: Vec<&str> = limit.as_str().unwrap().split('\t').collect();
    assert_eq!(&cells[1..6], ["rate-limit", "5 in any 1 h", "sliding window", "1", "3"], "{limit}");
    // Which key that is stays a secret, where it comes from does not.
    assert!(cells[7].starts_with("100 % one key, ") && cells[7].ends_with(" from 127.0.0.1"), "{limit}");
    assert!(!cells[7].contains("greedy"), "{limit}");
    let refused = page.until("the refusal", &row("refused", "address or certificate may not come")).await;
    assert!(refused.as_str().unwrap().contains("private\t1"), "{refused}");
    let takes = page.until("the route's limits", &row("takes", "private")).await;
    assert!(takes.as_str().unwrap().contains("1 network allowed; all others may not\tup to 30"), "{takes}");
    let held = page.until("the adaptive limit", "document.querySelector('.held')?.innerText").await;
    assert!(
        held.as_str().unwrap().contains("adaptive\n0 of 7 under way")
            || held.as_str().unwrap().contains("0 of 7 under way"),
        "{held}"
    );
    // One more is refused, and the page tells it without being asked.
    gateway.get("/private").await;
    page.until(
        "another refusal",
        &format!("{}?.includes('private\\t2')", row("refused", "address or certificate may not come")),
    )
    .await;
    expect_quiet(&page, &gateway).await;
}

async fn banned(gateway: &Gateway) -> Vec<String> {
    let told: Value = gateway.admin("/api/v1/bans").await.json();
    told["bans"].as_array().unwrap().iter().map(|ban| ban["address"].as_str().unwrap().to_owned()).collect()
}

async fn ban(page: &mut Page, address: &str) {
    page.fill("#ban-address", address).await;
    page.press("Enter", 0).await;
    page.until("a question", "document.querySelector('dialog[open]')").await;
    // What destroys is not what Enter does at once: the way out has the focus.
    assert_eq!(page.value("document.activeElement.textContent").await, json!("Cancel"));
    page.click("dialog button.danger \"Ban\"").await;
    notice(page, &format!("{address} is banned for 1 h")).await;
}

#[tokio::test]
async fn an_address_is_banned_and_pardoned() {
    let origin = origin().await;
    let gateway = setup(&origin).start().await;
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Protection").await;
    page.until("nobody", &format!("{}?.includes('Nobody is banned.')", section("bans"))).await;
    ban(&mut page, "127.0.0.1").await;
    assert_eq!(gateway.get("/adaptive").await.status, 403);
    page.until(
        "that it is gone after a restart",
        "document.querySelector('.notice').textContent.includes('does not survive a restart')",
    )
    .await;
    page.click(".notice button \"Undo\"").await;
    notice(&mut page, "127.0.0.1 is no longer banned").await;
    assert_eq!(gateway.get("/adaptive").await.status, 200);

    ban(&mut page, "2001:db8::7").await;
    assert_eq!(banned(&gateway).await, ["2001:db8::"]);
    page.click("[aria-label='Lift the ban on 2001:db8::']").await;
    confirm(&mut page).await;
    notice(&mut page, "2001:db8:: is no longer banned").await;
    assert!(banned(&gateway).await.is_empty());
    page.click(".notice button \"Undo\"").await;
    notice(&mut page, "2001:db8:: is banned again").await;
    assert_eq!(banned(&gateway).await, ["2001:db8::"]);
    // What the gateway does not take is told where it was asked for.
    page.fill("#ban-address", "nobody").await;
    page.press("Enter", 0).await;
    page.click("dialog button.danger \"Ban\"").await;
    page.until(
        "the refusal",
        "document.querySelector('dialog .trouble')?.textContent.includes('is not an IP address')",
    )
    .await;
    page.press("Escape", 0).await;
    expect_quiet(&page, &gateway).await;
}
