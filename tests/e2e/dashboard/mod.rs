//! The dashboard in a real browser: it shows what the gateway does, and changes it, by keys and clicks.

mod changes;
mod leaving;
mod trouble;

use std::path::PathBuf;

use portcullis_tests::page::{ALT, SHIFT};
use portcullis_tests::{Client, Gateway, Load, Origin, Page, Reply, Request, Response, Setup, Value, artefacts, json};

/// What a row of the picture says of a route.
const ROUTE: &str =
    "[...document.querySelectorAll('.route')].find(row => row.querySelector('h3').textContent === 'all')";
/// The plugins as the page has them.
const ORDER: &str = "[...document.querySelectorAll('.plugins [draggable] h3')].map(node => node.textContent).join(' ')";

fn fine(response: &Response) -> Result<(), String> {
    if response.status == 200 { Ok(()) } else { Err(format!("status {}", response.status)) }
}

async fn origin() -> Origin {
    Origin::start(|_| Reply::ok("hello").field("Content-Type", "text/plain")).await
}

fn setup(origin: &Origin) -> Setup {
    Setup::to(origin)
        .plugin("response-timing", json!({}))
        .guest_as("slow-hook", "slow-hook", json!({ "grants": ["clock"], "config": { "ms": 30 } }))
        .plugin("security-headers", json!({ "grants": ["log", "crypto"] }))
}

async fn token(gateway: &Gateway) -> String {
    gateway.admin_address().await;
    gateway.admin_token().expect("a token")
}

/// The dashboard, signed in.
async fn dashboard(gateway: &Gateway, width: u32) -> Page {
    dashboard_with(gateway, &token(gateway).await, width).await
}

/// The dashboard, signed in with this token.
async fn dashboard_with(gateway: &Gateway, token: &str, width: u32) -> Page {
    let url = format!("http://{}/login#token={token}", gateway.admin_address().await);
    let mut page = Page::open(&url, width).await;
    page.until("the dashboard", "document.querySelector('#main h1')?.textContent").await;
    assert_eq!(page.value("location.hash.includes('token')").await, json!(false));
    page
}

/// Nothing went wrong in the page, and it asked nobody else.
async fn expect_quiet(page: &Page, gateway: &Gateway) {
    assert_eq!(page.troubles, Vec::<String>::new());
    let own = format!("http://{}", gateway.admin_address().await);
    let others: Vec<_> = page.origins.iter().filter(|origin| **origin != own && !origin.starts_with("data:")).collect();
    assert!(others.is_empty(), "{others:?}");
}

async fn view(page: &mut Page, name: &str) {
    page.click(&format!("#nav a \"{name}\"")).await;
    page.until(name, &format!("document.querySelector('#main h1')?.textContent === '{name}'")).await;
}

/// Waits until a message has these words.
async fn notice(page: &mut Page, words: &str) {
    page.until(
        words,
        &format!("[...document.querySelectorAll('.notice')].some(node => node.textContent.includes({words:?}))"),
    )
    .await;
}

async fn confirm(page: &mut Page) {
    page.until(
        "a question",
        "document.querySelector('dialog[open]') && document.activeElement.closest('dialog') !== null",
    )
    .await;
    page.press("Enter", 0).await;
    page.until("an answer", "!document.querySelector('dialog[open]')").await;
}

fn file(gateway: &Gateway, name: &str, bytes: &[u8]) -> PathBuf {
    let path = gateway.folder().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn only_a_token_opens_it() {
    let origin = origin().await;
    let gateway = setup(&origin).start().await;
    let address = gateway.admin_address().await;
    for path in ["/", "/assets/app.js", "/assets/views.css"] {
        let mut stranger = Client::connect(address).await.unwrap();
        assert_eq!(stranger.send(&Request::get(path).host(&address.to_string())).await.status, 401, "{path}");
    }
    let mut page = Page::open(&format!("http://{address}/"), 1280).await;
    page.fill("#token", "not-the-token-of-this-gateway").await;
    page.press("Enter", 0).await;
    page.until("the refusal", "document.getElementById('trouble').textContent").await;
    let token = token(&gateway).await;
    page.fill("#token", &token).await;
    page.press("Enter", 0).await;
    page.until("the dashboard", "document.querySelector('.route')").await;
    page.click("button \"Log out\"").await;
    page.until("the login", "document.querySelector('#token')").await;
    page.go(&format!("http://{address}/")).await;
    page.until("the login again", "document.querySelector('#token')").await;
    expect_quiet(&page, &gateway).await;
}

#[tokio::test]
async fn a_slow_plugin_is_seen_and_switched_off_by_keys() {
    let origin = origin().await;
    let gateway = setup(&origin).start().await;
    let load = Load::start(&gateway, 2, &Request::get("/"), fine);
    let mut page = dashboard(&gateway, 1280).await;
    let words = format!("{ROUTE}?.matches('.slow') && {ROUTE}.querySelector('.words').textContent");
    let words = page.until("the slow plugin", &words).await;
    let words = words.as_str().unwrap().to_owned();
    let shape = words.starts_with("slow-hook takes ") && words.contains(" % of the time of route all: ");
    assert!(shape, "{words}");
    // Figures move.
    let value = "document.querySelector('.tile.rate .value').textContent";
    let before = page.until("a rate", &format!("/^[1-9]/.test({value}) && {value}")).await;
    page.until("another rate", &format!("{value} !== {before}")).await;
    // The parts of the bar are the whole, whatever the figures become.
    let parts =
        format!("[...{ROUTE}.querySelectorAll('.part')].reduce((sum, part) => sum + parseFloat(part.style.width), 0)");
    let whole = page.value(&parts).await.as_f64().unwrap();
    assert!((95.0..=100.5).contains(&whole), "{whole} %");
    let mean = format!("{ROUTE}.querySelectorAll('.numbers dd')[1].textContent");

    page.focus(".route.slow .verdict button").await;
    page.press("Enter", 0).await;
    confirm(&mut page).await;
    page.until("that it is off", "document.querySelector('.step.off .name')?.textContent === 'slow-hook'").await;
    page.until("no slow route", "!document.querySelector('.route.slow')").await;
    // A busy machine makes everything slower, but not by that much.
    page.until("the latency falls", &format!("/µs$/.test({mean}) || parseFloat({mean}) < 15")).await;
    // The focus has not got lost.
    assert_eq!(page.value("document.activeElement.textContent").await, json!("Switch on"));

    page.focus(".notice button \"Undo\"").await;
    page.press("Enter", 0).await;
    page.until(
        "that it is slow again",
        "document.querySelector('.route.slow .words')?.textContent.startsWith('slow-hook')",
    )
    .await;
    expect_quiet(&page, &gateway).await;
    load.stop().await.expect_clean(10);
}

#[tokio::test]
async fn the_chain_is_reordered_by_keys_and_buttons() {
    let origin = origin().await;
    let gateway = setup(&origin).start().await;
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Plugins").await;
    page.until("the chain", &format!("{ORDER} === 'response-timing slow-hook security-headers'")).await;
    page.focus("[data-name=security-headers] h3 a").await;
    page.press("ArrowUp", ALT).await;
    page.press("ArrowUp", ALT).await;
    page.until("the new order", &format!("{ORDER} === 'security-headers response-timing slow-hook'")).await;
    page.until(
        "that it is said",
        "document.getElementById('said').textContent.includes('security-headers is now 1 of 3')",
    )
    .await;
    assert_eq!(page.value("document.activeElement.textContent").await, json!("security-headers"));
    page.click("button \"Apply order\"").await;
    confirm(&mut page).await;
    let order = async || {
        let chain = gateway.config()["plugins"]["chain"].clone();
        chain.as_array().unwrap().iter().map(|entry| entry["plugin"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    page.until("that it is applied", "document.querySelector('.notice')?.textContent.includes('The order is applied')")
        .await;
    assert_eq!(order().await, ["security-headers", "response-timing", "slow-hook"]);
    page.click(".notice button \"Undo\"").await;
    page.until("the undo", &format!("{ORDER} === 'response-timing slow-hook security-headers' && document.querySelector('.notice')?.textContent.includes('what it was')")).await;
    assert_eq!(order().await, ["response-timing", "slow-hook", "security-headers"]);
    page.click("[aria-label='Move response-timing down']").await;
    page.until("the order by button", &format!("{ORDER} === 'slow-hook response-timing security-headers'")).await;
    page.click("button \"Drop\"").await;
    page.until("the order as it was", &format!("{ORDER} === 'response-timing slow-hook security-headers'")).await;
    expect_quiet(&page, &gateway).await;
}

#[tokio::test]
async fn components_are_uploaded_and_bad_ones_refused() {
    let origin = origin().await;
    let gateway = setup(&origin).file("version.wasm", artefacts::version(1)).entry("version", json!({})).start().await;
    assert_eq!(gateway.get("/").await.value("x-version"), Some("00000001"));
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Plugins").await;
    page.choose("#upload-file", &file(&gateway, "bad.wasm", b"not a component")).await;
    page.fill("#upload-name", "version").await;
    page.click("#upload-send").await;
    page.until("a question", "document.querySelector('dialog[open]')").await;
    page.press("Enter", 0).await;
    let said = page.until("the refusal", "document.querySelector('dialog .trouble')?.textContent").await;
    assert!(!said.as_str().unwrap().is_empty());
    page.press("Escape", 0).await;
    assert_eq!(gateway.get("/").await.value("x-version"), Some("00000001"));
    page.choose("#upload-file", &file(&gateway, "version.wasm", &artefacts::version(2))).await;
    page.click("#upload-send").await;
    confirm(&mut page).await;
    page.until("that it is taken over", "document.querySelector('.notice')?.textContent.includes('taken over')").await;
    gateway.until("version 2", Request::get("/"), |response| response.value("x-version") == Some("00000002")).await;
    page.click(".notice button \"Undo\"").await;
    gateway.until("version 1", Request::get("/"), |response| response.value("x-version") == Some("00000001")).await;
    expect_quiet(&page, &gateway).await;
}

#[tokio::test]
async fn the_configuration_is_compared_applied_and_taken_back() {
    let origin = origin().await;
    let gateway = setup(&origin).start().await;
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Configuration").await;
    let area = "document.querySelector('textarea').value";
    page.until("the document", &format!("{area}.includes('\"all\"')")).await;
    let edit = async |page: &mut Page, from: &str, to: &str| {
        let text = page.value(area).await.as_str().unwrap().replace(from, to);
        page.fill("textarea", &text).await;
    };
    edit(&mut page, "\"upstream\": \"origin\"", "\"upstream\": \"nowhere\"").await;
    page.click("button \"Validate\"").await;
    page.until("the problem at its line", "/^Line \\d+/.test(document.querySelector('.problems li')?.textContent)")
        .await;
    edit(&mut page, "\"upstream\": \"nowhere\"", "\"upstream\": \"origin\"").await;
    edit(&mut page, "\"ms\": 30", "\"ms\": 1").await;
    page.click("button \"Diff\"").await;
    page.until("the difference", "document.querySelector('.diff ins')?.textContent.includes('\"ms\": 1')").await;
    assert_eq!(page.value("document.querySelector('.diff .gone .sign').textContent").await, json!("-"));
    page.click("#main button.primary \"Apply\"").await;
    confirm(&mut page).await;
    page.until("that it is applied", "document.querySelector('.notice')?.textContent.includes('is applied')").await;
    assert_eq!(gateway.config()["plugins"]["chain"][1]["config"]["ms"], json!(1));
    page.click(".notice button \"Undo\"").await;
    page.until("the undo", "document.querySelector('.notice')?.textContent.includes('what it was')").await;
    assert_eq!(gateway.config()["plugins"]["chain"][1]["config"]["ms"], json!(30));
    page.click("button \"Roll back\"").await;
    confirm(&mut page).await;
    page.until("the rollback", "document.querySelector('.notice')?.textContent.includes('again what it was')").await;
    assert_eq!(gateway.config()["plugins"]["chain"][1]["config"]["ms"], json!(1));
    expect_quiet(&page, &gateway).await;
}

#[tokio::test]
async fn every_view_is_told_and_fits_a_phone() {
    let origin = origin().await;
    let gateway = setup(&origin).start().await;
    gateway.get("/").await;
    let mut page = dashboard(&gateway, 360).await;
    for name in ["Overview", "Routes", "Plugins", "Cache", "Upstreams", "Protection", "Configuration", "Operations"] {
        view(&mut page, name).await;
        page.until("the gateway's figures", "document.querySelector('.facts dd + *, .facts dd')?.textContent").await;
        assert_eq!(page.value("document.documentElement.scrollWidth > innerWidth").await, json!(false), "{name}");
        check(name, &page.told().await);
    }
    view(&mut page, "Plugins").await;
    page.click("[data-name=slow-hook] h3 a").await;
    page.until("the plugin", "document.querySelector('#main h1')?.textContent === 'slow-hook' && document.querySelector('textarea')?.value.includes('ms')").await;
    assert_eq!(page.value("document.documentElement.scrollWidth > innerWidth").await, json!(false), "slow-hook");
    check("slow-hook", &page.told().await);
    // By Tab alone one comes through the whole page and back.
    page.value("document.activeElement.blur()").await;
    let mut seen = 0;
    for _ in 0..12 {
        page.press("Tab", 0).await;
        let shown = "(() => { const node = document.activeElement; return node !== document.body && node.matches(':focus-visible'); })()";
        if page.value(shown).await == json!(true) {
            seen += 1;
        }
    }
    assert!(seen >= 11, "{seen} of 12 had a visible focus");
    page.press("Tab", SHIFT).await;
    expect_quiet(&page, &gateway).await;
}

/// Every control has a name, headings step down one by one, and there are landmarks.
fn check(view: &str, told: &[Value]) {
    let role = |node: &Value| node["role"].as_str().unwrap_or_default().to_owned();
    for landmark in ["banner", "navigation", "main"] {
        let count = told.iter().filter(|node| role(node) == landmark).count();
        assert_eq!(count, 1, "{view}: {landmark}");
    }
    const CONTROLS: [&str; 9] =
        ["button", "link", "textbox", "searchbox", "spinbutton", "checkbox", "radio", "combobox", "img"];
    for node in told.iter().filter(|node| CONTROLS.contains(&role(node).as_str())) {
        assert!(node["name"].as_str().is_some_and(|name| !name.trim().is_empty()), "{view}: {node} has no name");
    }
    let levels: Vec<u64> =
        told.iter().filter(|node| role(node) == "heading").filter_map(|node| node["level"].as_u64()).collect();
    assert_eq!(levels.first(), Some(&1), "{view}: {levels:?}");
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{view}: {levels:?}");
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{view}: {levels:?}");
}
