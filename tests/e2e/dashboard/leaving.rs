//! A gateway that drains, is away and comes back.

use portcullis_tests::{Gate, Origin, Reply, Setup, json};

use super::{confirm, dashboard, expect_quiet, notice, view};

#[tokio::test]
async fn a_gateway_is_drained_from_here_and_missed_until_it_is_back() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").behind(&held)).await;
    let mut gateway = Setup::to(&origin).start().await;
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    let mut page = dashboard(&gateway, 1280).await;
    view(&mut page, "Operations").await;
    // Nothing moves any more once everything is there.
    page.until("the audit log", "document.querySelector('.log tbody tr')").await;
    page.click("button.danger \"Drain the gateway\"").await;
    page.until("a question", "document.querySelector('dialog[open] input')").await;
    // Nothing happens by Enter alone.
    page.press("Enter", 0).await;
    page.until("what it takes", "document.querySelector('dialog .trouble')?.textContent.includes('Write “drain”')")
        .await;
    assert!(gateway.is_running());
    page.fill("dialog input", "drain").await;
    page.press("Enter", 0).await;
    notice(&mut page, "The gateway is draining").await;
    // As long as a request is under way it is there, and says what it does.
    page.until("that it drains", "document.querySelector('.health .badge')?.textContent.includes('draining')").await;
    gate.open();
    assert_eq!(client.response_to("GET").await.unwrap().text(), "late");
    assert!(gateway.ended().await.success());
    page.until(
        "that it is away",
        "document.querySelector('.freshness.bad')?.textContent.startsWith('The gateway is away')",
    )
    .await;
    page.until("that figures are old", "document.body.hasAttribute('data-stale')").await;
    expect_quiet(&page, &gateway).await;

    // Another one in its place knows nobody: who was there signs in again, and comes back to where they were.
    let address = gateway.admin_address().await;
    let again = Setup::to(&origin).patch(&json!({ "admin": { "address": address.to_string() } })).start().await;
    page.click("button \"Try now\"").await;
    page.until("the login", "document.querySelector('#token')").await;
    let token = again.admin_token().unwrap();
    page.fill("#token", &token).await;
    page.press("Enter", 0).await;
    page.until("the view that was open", "document.querySelector('#main h1')?.textContent === 'Operations'").await;
    page.until("that it lives", "document.querySelector('.freshness')?.textContent === 'Live'").await;

    // A mode changes for everybody, and for what waits.
    page.click("[name=mode][value=read_only]").await;
    page.click("button \"Set mode\"").await;
    confirm(&mut page).await;
    notice(&mut page, "The mode is read only.").await;
    page.until("the mode", "document.querySelector('.facts .alarm')?.textContent === 'read only'").await;
    let post = portcullis_tests::Request::post("/", "x");
    assert_eq!(again.send(post.clone()).await.status, 503);
    page.click(".notice button \"Undo\"").await;
    notice(&mut page, "The mode is normal again").await;
    assert_eq!(again.send(post).await.status, 200);
}
