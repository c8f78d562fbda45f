//! `portcullis ctl` as an operator uses it: who makes a route slow, off with it and on again, and every other order once.

use std::fs;

use portcullis_tests::command::{Outcome, portcullis};
use portcullis_tests::{Gateway, Origin, Setup, Value, artefacts, eventually, from_json, json};

async fn gateway(origin: &Origin) -> Gateway {
    Setup::to(origin)
        .plugin("response-timing", json!({}))
        .guest_as("slow-hook", "slow-hook", json!({ "grants": ["clock"], "config": { "ms": 30 } }))
        .patch(&json!({ "admin": { "address": "127.0.0.1:0", "socket": "admin.sock" } }))
        .start()
        .await
}

/// Runs `portcullis ctl` beside the gateway's configuration, whose socket needs no token.
fn ctl(gateway: &Gateway, order: &str) -> Outcome {
    let arguments = ["ctl", "--config", "portcullis.json"].into_iter().chain(order.split(' '));
    portcullis(gateway.folder(), &arguments.collect::<Vec<_>>())
}

fn fine(gateway: &Gateway, order: &str) -> String {
    let outcome = ctl(gateway, order);
    assert_eq!(outcome.code, Some(0), "{order}: {}", outcome.text());
    outcome.stdout
}

fn json_of(gateway: &Gateway, order: &str) -> Value {
    from_json(fine(gateway, &format!("{order} --json")).as_bytes()).unwrap()
}

#[tokio::test]
async fn the_plugin_that_makes_a_route_slow_is_named_and_switched_off_and_on() {
    let origin = Origin::saying("hello").await;
    let gateway = gateway(&origin).await;
    let wanted = "slow-hook takes ";
    let text = eventually("top names the slow plugin", || async {
        assert_eq!(gateway.get("/").await.status, 200);
        Some(fine(&gateway, "top --seconds 10")).filter(|text| text.contains(wanted))
    })
    .await;
    assert!(text.contains("portcullis ctl plugin disable slow-hook"), "{text}");
    // It may be one that decides who may pass, as far as anybody can tell.
    let asked = ctl(&gateway, "plugin disable slow-hook");
    assert!(asked.code == Some(1) && asked.stderr.contains("can refuse requests"), "{}", asked.text());
    let told = fine(&gateway, "plugin disable slow-hook --yes");
    assert!(told.contains("enabled"), "{told}");
    let state = |name: &str| {
        let plugins = json_of(&gateway, "plugins");
        let found = plugins["plugins"].as_array().unwrap().iter().find(|plugin| plugin["plugin"] == name);
        found.unwrap()["state"].clone()
    };
    assert_eq!((state("slow-hook"), state("response-timing")), (json!("disabled"), json!("active")));
    let quick = gateway.get("/").await;
    assert!(!quick.value("server-timing").unwrap().contains("slow-hook"), "{quick:?}");
    let told = fine(&gateway, "plugin enable slow-hook");
    assert!(told.contains("slow-hook joins the chain as number 2 of 2 and runs on all routes"), "{told}");
    assert!(gateway.get("/").await.value("server-timing").unwrap().contains("slow-hook"));
    let audit = fine(&gateway, "audit");
    assert!(audit.contains("PATCH /api/v1/plugins/{plugin}") && audit.contains("slow-hook"), "{audit}");
}

#[tokio::test]
async fn every_order_has_an_answer() {
    let origin = Origin::saying("hello").await;
    let gateway = gateway(&origin).await;
    for (order, wanted) in [
        ("state", "generation"),
        ("health", "gateway healthy"),
        ("plugins", "response-timing"),
        ("plugins slow-hook", "config"),
        ("plugin versions slow-hook", "HASH"),
        ("plugin traps slow-hook", "none"),
        ("plugin order slow-hook response-timing", "$.plugins.chain"),
        ("routes", "METHODS"),
        ("routes", "/*"),
        ("explain GET http://a.test/../x", "refused"),
        ("explain GET http://a.test/x", "all"),
        ("config show", "\"listeners\""),
        ("config validate portcullis.json", "valid"),
        ("config diff portcullis.json", "no changes"),
        ("config history", "CURRENT"),
        ("upstreams", "127.0.0.1:"),
        ("certificates", "none"),
        ("log", "filter"),
        ("log debug", "survives_restart  no"),
        ("mode read_only", "read_only"),
        ("mode normal", "normal"),
        ("alerts", "ALERT"),
        ("advice", ""),
        ("ban 192.0.2.1 --seconds 60", "192.0.2.1"),
        ("bans", "192.0.2.1"),
        ("pardon 192.0.2.1", ""),
        ("audit", "PUT /api/v1/mode"),
        ("audit", "mode read_only"),
        ("call GET /livez", "alive"),
    ] {
        let text = fine(&gateway, order);
        assert!(text.contains(wanted), "{order}: {text}");
    }
    // The last one of an upstream cannot be drained, so there is another.
    let (endpoint, other) = (origin.address(), Origin::saying("hello").await);
    let mut document = json_of(&gateway, "config show")["document"].clone();
    document["upstreams"]["origin"]["endpoints"] = json!([endpoint.to_string(), other.address().to_string()]);
    fs::write(gateway.folder().join("two.json"), document.to_string()).unwrap();
    fine(&gateway, "config apply two.json");
    let told = fine(&gateway, &format!("endpoint origin {endpoint} --drain"));
    assert!(told.contains("drain"), "{told}");
    fine(&gateway, &format!("endpoint origin {endpoint} --undrain --weight 3"));
    assert_eq!(json_of(&gateway, "upstreams")["upstreams"][0]["endpoints"][0]["weight"], 3);
    // A version back, and a file that is applied.
    let first = json_of(&gateway, "config history")["versions"].as_array().unwrap().last().unwrap()["id"].clone();
    let (first, mut known) = (first.as_str().unwrap(), first.as_str().unwrap().len());
    let versions = json_of(&gateway, "config history")["versions"].as_array().unwrap().clone();
    let is_only =
        |begun: &str| versions.iter().filter(|one| one["id"].as_str().unwrap().starts_with(begun)).count() == 1;
    while known > 1 && is_only(&first[..known - 1]) {
        known -= 1;
    }
    fine(&gateway, &format!("config rollback {}", &first[..known]));
    let mut document = json_of(&gateway, "config show")["document"].clone();
    document["drain_timeout_ms"] = json!(1234);
    fs::write(gateway.folder().join("next.json"), document.to_string()).unwrap();
    assert!(fine(&gateway, "config apply next.json").contains("$.drain_timeout_ms"));
    fs::write(gateway.folder().join("extra.wasm"), artefacts::guest("counts-calls")).unwrap();
    fine(&gateway, "plugin upload extra.wasm");
    let told = fine(&gateway, "plugin remove extra");
    assert!(told.contains("extra.wasm is taken away"), "{told}");
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_reasons() {
    let origin = Origin::saying("hello").await;
    let mut gateway = gateway(&origin).await;
    fs::write(gateway.folder().join("bad.json"), r#"{"listeners": 1}"#).unwrap();
    fs::write(gateway.folder().join("bad.wasm"), "no component").unwrap();
    for (order, wanted) in [
        ("plugin disable nobody", "404"),
        ("config apply bad.json", "listeners"),
        ("config validate bad.json", "not valid"),
        ("plugin upload bad.wasm", "422"),
        ("mode sleepy", "mode"),
        ("config apply nothing.json", "cannot read nothing.json"),
        ("drain", "--yes"),
        ("log nonsense=", "names no level"),
        ("endpoint origin x", "--drain, --undrain or --weight"),
        ("plugin disable nobody --json", "\"status\": 404"),
    ] {
        let outcome = ctl(&gateway, order);
        assert_eq!(outcome.code, Some(1), "{order}: {}", outcome.text());
        assert!(outcome.text().contains(wanted), "{order}: {}", outcome.text());
    }
    let told = ctl(&gateway, "plugin disable nobody --json");
    assert!(from_json::<Value>(told.stdout.as_bytes()).is_ok_and(|told| told["status"] == 404), "{}", told.text());
    // By TCP nobody is known without a token.
    let address = gateway.admin_address().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let by =
        |address: &str, more: &[&str]| portcullis(elsewhere.path(), &[&["ctl", "--admin", address][..], more].concat());
    let told = by(&address.to_string(), &["state"]);
    assert!(told.code == Some(1) && told.stderr.contains("wants a token"), "{}", told.text());
    fs::write(elsewhere.path().join("token"), "0123456789abcdef0123456789abcdef").unwrap();
    let told = by(&format!("http://localhost:{}/", address.port()), &["--token-file", "token", "state"]);
    assert!(told.code == Some(1) && told.stderr.contains("does not take the token of token"), "{}", told.text());
    // A file that is wrong by now still says where the gateway is.
    let good = gateway.config();
    gateway.patch_config(&json!({ "listeners": 1, "workers": "many" }));
    fine(&gateway, "mode normal");
    gateway.write_config("{ broken");
    let told = ctl(&gateway, "mode normal");
    assert!(told.code == Some(1) && told.stderr.contains("is not JSON; name"), "{}", told.text());
    gateway.write_config(good.to_string());
    fine(&gateway, "drain --yes");
    assert!(portcullis_tests::in_time("the end", gateway.ended()).await.success());
}
