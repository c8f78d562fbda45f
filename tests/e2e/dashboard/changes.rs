//! Who may change what, two who change at once, and the forms of routes and plugins.

use portcullis_tests::{Gateway, Page, Request, Setup, Value, json};

use super::{confirm, dashboard, dashboard_with, expect_quiet, notice, origin, setup, view};

const READER: &str = "reader-token-0123456789";
const OPERATOR: &str = "operator-token-0123456789";

/// With tokens for a reader and an operator.
fn with_roles(setup: Setup) -> Setup {
    let token = |role: &str, token: &str| json!({ "name": role, "role": role, "token": token });
    setup.patch(&json!({ "admin": { "tokens": [token("read", READER), token("operate", OPERATOR)] } }))
}

/// What cannot be pressed, by its name.
async fn refused(page: &mut Page) -> Vec<String> {
    let names = "[...document.querySelectorAll('main [aria-disabled=true]')].map(node => node.getAttribute('aria-label') ?? node.textContent)";
    page.value(names).await.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn who_may_less_sees_everything_and_is_told_what_it_takes() {
    let origin = origin().await;
    let gateway = with_roles(setup(&origin)).start().await;
    let before = gateway.config();
    let mut page = dashboard_with(&gateway, READER, 1280).await;
    assert_eq!(page.until("who", "document.querySelector('.tools .who').textContent").await, json!("read, read"));
    view(&mut page, "Plugins").await;
    page.until("the chain", "document.querySelectorAll('.plugins [data-name]').length === 3").await;
    assert_eq!(page.value("document.querySelectorAll('[draggable=true]').length").await, json!(0));
    for name in ["Switch off slow-hook", "Move slow-hook up", "Upload"] {
        assert!(refused(&mut page).await.iter().any(|refused| refused == name), "{name}");
    }
    page.click("[aria-label='Switch off slow-hook']").await;
    notice(&mut page, "This takes the role “operate”; this session has “read”").await;
    view(&mut page, "Operations").await;
    assert_eq!(refused(&mut page).await, ["Set mode", "Set log level", "Drain the gateway"]);
    // By keys alone an order is refused, too.
    view(&mut page, "Plugins").await;
    page.focus("[data-name=slow-hook] h3 a").await;
    page.press("ArrowUp", portcullis_tests::page::ALT).await;
    notice(&mut page, "This takes the role “admin”; this session has “read”").await;
    assert_eq!(page.value("document.querySelector('.pending').hidden").await, json!(true));
    expect_quiet(&page, &gateway).await;

    page.click("button \"Log out\"").await;
    page.until("the login", "document.querySelector('#token')").await;
    page.fill("#token", OPERATOR).await;
    page.press("Enter", 0).await;
    page.until("the dashboard", "document.querySelector('.tools .who')?.textContent === 'operate, operate'").await;
    view(&mut page, "Plugins").await;
    page.click("[aria-label='Switch off slow-hook']").await;
    confirm(&mut page).await;
    notice(&mut page, "slow-hook is switched off").await;
    assert_eq!(gateway.config()["plugins"]["chain"][1]["enabled"], json!(false));
    page.click(".notice button \"Undo\"").await;
    notice(&mut page, "slow-hook is switched on again").await;
    view(&mut page, "Configuration").await;
    page.click("#main button.primary \"Apply\"").await;
    notice(&mut page, "This takes the role “admin”; this session has “operate”").await;
    assert_eq!(gateway.config()["plugins"]["chain"][1]["config"], before["plugins"]["chain"][1]["config"]);
    expect_quiet(&page, &gateway).await;
}

/// Somebody else changes the configuration.
async fn meanwhile(gateway: &Gateway, change: &Value) {
    let answer: Value = gateway.admin("/api/v1/configuration").await.json();
    let mut document = answer["document"].clone();
    portcullis_tests::setup::merge(&mut document, change);
    let request = Request::new("PUT", "/api/v1/configuration").field("Content-Type", "application/json");
    let response = gateway.ask_admin(&request.body(json!({ "document": document }).to_string())).await;
    assert_eq!(response.status, 200, "{}", response.text());
}

#[tokio::test]
async fn of_two_who_change_at_once_the_second_is_told() {
    let origin = origin().await;
    let gateway = setup(&origin).start().await;
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Configuration").await;
    let area = "document.querySelector('textarea').value";
    let text = page.until("the document", &format!("{area}.includes('\"ms\": 30') && {area}")).await;
    page.fill("textarea", &text.as_str().unwrap().replace("\"ms\": 30", "\"ms\": 1")).await;
    meanwhile(&gateway, &json!({ "drain_timeout_ms": 4321 })).await;
    page.click("#main button.primary \"Apply\"").await;
    confirm(&mut page).await;
    let clash = page.until("both changes", "document.querySelector('.clash')?.innerText").await;
    assert!(clash.as_str().unwrap().contains("\"drain_timeout_ms\": 4321"), "{clash}");
    // Nothing is applied, nothing of mine is lost, and the other change stays unless I say otherwise.
    assert_eq!(gateway.config()["plugins"]["chain"][1]["config"]["ms"], json!(30));
    assert!(page.value(area).await.as_str().unwrap().contains("\"ms\": 1\n"));
    page.click("button \"Compare mine with what serves now\"").await;
    page.until("my change", "document.querySelector('.diff ins')?.textContent.includes('\"ms\": 1')").await;
    page.until(
        "that theirs would go",
        "[...document.querySelectorAll('.diff del')].some(node => node.textContent.includes('4321'))",
    )
    .await;
    page.click("#main button.primary \"Apply\"").await;
    confirm(&mut page).await;
    notice(&mut page, "is applied").await;
    assert_eq!(gateway.config()["plugins"]["chain"][1]["config"]["ms"], json!(1));
    assert_eq!(gateway.config().get("drain_timeout_ms"), None);

    view(&mut page, "Plugins").await;
    page.click("[aria-label='Move slow-hook up']").await;
    page.until("the wanted order", "!document.querySelector('.pending').hidden").await;
    meanwhile(&gateway, &json!({ "drain_timeout_ms": 4321 })).await;
    page.click("button \"Apply order\"").await;
    page.until("a question", "document.querySelector('dialog[open]')").await;
    page.press("Enter", 0).await;
    page.until(
        "the refusal",
        "document.querySelector('dialog .trouble')?.textContent.includes('Somebody has changed the configuration')",
    )
    .await;
    page.press("Escape", 0).await;
    // Having looked, one may.
    page.until("the second try", "!document.querySelector('dialog')").await;
    page.click("button \"Apply order\"").await;
    confirm(&mut page).await;
    notice(&mut page, "The order is applied").await;
    assert_eq!(gateway.config()["plugins"]["chain"][0]["plugin"], json!("slow-hook"));
    expect_quiet(&page, &gateway).await;
}

/// Writes into the form that explains, sends it, and gives what it says.
async fn explained(page: &mut Page, url: &str, fields: &str) -> String {
    page.value("document.querySelector('.result')?.replaceChildren()").await;
    page.fill("#explain-headers", fields).await;
    page.fill("#explain-url", url).await;
    page.press("Enter", 0).await;
    let said = page
        .until(
            url,
            "document.querySelector('.result')?.innerText || document.querySelector('#explain-trouble')?.innerText",
        )
        .await;
    said.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_form_tells_which_route_a_request_gets_and_why() {
    let origin = origin().await;
    let gateway = setup(&origin)
        .route(json!({ "name": "item", "match": { "path": "/items/{id}", "methods": ["GET"] }, "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "beta", "match": { "path": "/items/{id}", "headers": { "x-beta": "1" } }, "priority": 5, "respond": { "body": "new" } }))
        .start()
        .await;
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Routes").await;
    page.until("the routes", "document.querySelectorAll('[aria-labelledby=all-title] tbody tr').length === 2").await;
    page.click("summary \"Header fields\"").await;
    let told = explained(&mut page, "/items/17?a=b", "").await;
    for words in ["route item", "id = 17", "response-timing → slow-hook → security-headers", "/items/17?a=b", "beta"]
    {
        assert!(told.contains(words), "{words} is not in {told}");
    }
    let told = explained(&mut page, "http://shop.example/items/17", "X-Beta: 1\nAccept: text/html").await;
    assert!(
        told.contains("route beta") && told.contains("answers 200") && told.contains("matches too, but comes later"),
        "{told}"
    );
    let told = explained(&mut page, "shop.example/nothing", "").await;
    assert!(told.contains("no route: 404") && told.contains("the path is not /items/{id}"), "{told}");
    let told = explained(&mut page, "/items/17", "no field").await;
    assert!(told.contains("Line 1 of the header fields"), "{told}");
    page.value("document.getElementById('explain-method').value = 'POST'").await;
    let told = explained(&mut page, "/items/17", "").await;
    assert!(told.contains("not with this method: 405"), "{told}");
    expect_quiet(&page, &gateway).await;
}

#[tokio::test]
async fn a_plugins_settings_are_changed_and_taken_back() {
    let origin = origin().await;
    let gateway = setup(&origin)
        .route(json!({ "name": "one", "match": { "path": "/one" }, "proxy": { "upstream": "origin" } }))
        .route(json!({ "name": "two", "match": { "path": "/two" }, "proxy": { "upstream": "origin" } }))
        .start()
        .await;
    let entry = async || gateway.config()["plugins"]["chain"][1].clone();
    let before = entry().await;
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Plugins").await;
    page.click("[data-name=slow-hook] h3 a").await;
    page.until("the settings", "document.querySelector('[name=runs-on][value=every]')?.checked && document.querySelectorAll('.settings [type=checkbox]').length === 2").await;
    page.focus("[name=runs-on][value=some]").await;
    page.press(" ", 0).await;
    page.click(".settings [type=checkbox][value=two]").await;
    page.click("[name=on-failure][value=skip]").await;
    page.click(".settings summary").await;
    assert_eq!(page.value("document.getElementById('limit-timeout_ms').value").await, json!("5000"));
    assert_eq!(page.value("document.getElementById('limit-init_factor').placeholder").await, json!("50"));
    page.fill("#limit-timeout_ms", "0").await;
    page.click(".settings button.primary \"Apply\"").await;
    page.until("what is wrong", "document.querySelector('.settings .trouble')?.textContent.startsWith('timeout_ms: ')")
        .await;
    page.fill("#limit-timeout_ms", "1234").await;
    page.fill("#limit-quarantine_failures", "3").await;
    page.until("that it is edited", "document.querySelector('.settings').textContent.includes('Edited, not applied.')")
        .await;
    page.click(".settings button.primary \"Apply\"").await;
    let asked = page.until("a question", "document.querySelector('dialog[open]')?.innerText").await;
    for words in [
        "It runs on route two instead of every route.",
        "When it fails, requests go on without it.",
        "timeout_ms: 1,234 instead of 5,000.",
        "quarantine_failures: 3 instead of the default, 10.",
    ] {
        assert!(asked.as_str().unwrap().contains(words), "{words} is not in {asked}");
    }
    confirm(&mut page).await;
    notice(&mut page, "slow-hook is changed").await;
    let after = entry().await;
    assert_eq!((&after["routes"], &after["on_failure"]), (&json!(["two"]), &json!("skip")));
    assert_eq!(after["limits"], json!({ "timeout_ms": 1234, "quarantine_failures": 3 }));
    // The page goes on by what serves.
    page.until("the routes of it", "document.querySelector('.pairs').innerText.includes('two')").await;
    page.click(".notice button \"Undo\"").await;
    notice(&mut page, "slow-hook is as it was").await;
    let back = entry().await;
    assert_eq!((back.get("routes"), &back["limits"], &back["config"]), (None, &before["limits"], &before["config"]));
    assert_eq!(back["on_failure"], json!("deny"));
    page.until("the form as it was", "document.querySelector('[name=runs-on][value=every]').checked && document.getElementById('limit-timeout_ms').value === '5000'").await;
    expect_quiet(&page, &gateway).await;
}
