//! CDNs in the configuration: a gateway that has some tells of them, and `check` says what is wrong with one.

use std::fs;

use portcullis_tests::command::portcullis;
use portcullis_tests::{Gateway, Origin, Reply, Setup, Value, eventually, from_json, json};

const TOKEN: &str = "hush-hush-0123456789";

async fn cdns(gateway: &Gateway) -> Vec<Value> {
    let status: Value = from_json(gateway.admin("/api/v1/state").await.text().as_bytes()).unwrap();
    status["cdn"].as_array().unwrap().clone()
}

fn setup(cdn: &Value) -> Setup {
    Setup::new()
        .route(json!({ "name": "all", "respond": { "body": "a page" } }))
        .patch(&json!({ "cdn": cdn, "log": { "filter": "debug" } }))
        .environment("CDN_TOKEN", TOKEN)
}

#[tokio::test]
async fn a_gateway_tells_of_its_cdns() {
    let endpoint = Origin::start(|_| Reply::ok("{\"success\":true}")).await;
    let base = format!("http://{}", endpoint.address());
    let fastly =
        json!({ "name": "edge", "form": "fastly", "endpoint": base, "service": "SU1Z0", "token": "${CDN_TOKEN}" });
    let own =
        json!({ "name": "own", "form": "custom", "urls": { "method": "PURGE", "url": format!("{base}{{path}}") } });
    let gateway = setup(&json!([fastly, own])).start().await;
    assert_eq!(gateway.get("/").await.text(), "a page");
    let quiet = |name: &str| {
        json!({ "cdn": name, "pending": 0, "sent": 0, "failed": 0, "merged": 0, "dropped": 0, "unsupported": 0,
                "retries": 0, "trouble": null })
    };
    assert_eq!(cdns(&gateway).await, [quiet("edge"), quiet("own")]);
    for result in ["sent", "failed", "merged", "dropped", "unsupported"] {
        let series = format!("portcullis_cdn_purges_total{{cdn=\"own\",result=\"{result}\"}}");
        assert_eq!(gateway.metric(&series).await, Some(0.0), "{series}");
    }

    // Another list takes effect without a restart, a wrong one does not.
    gateway
        .patch_config(&json!({ "cdn": [{ "name": "other", "form": "cloudflare", "zone": "z", "token": "${CDN_TOKEN}",
                                            "endpoint": base }] }));
    eventually("the other list", || async { (cdns(&gateway).await == [quiet("other")]).then_some(()) }).await;
    let mark = gateway.logs().mark();
    gateway.patch_config(
        &json!({ "cdn": [{ "name": "other", "form": "cloudflare", "token": "${CDN_TOKEN}", "zone": "a/b" }] }),
    );
    gateway.logs().wait_for_words(mark, &["configuration refused", "cdn[0].zone"]).await;
    assert_eq!(cdns(&gateway).await, [quiet("other")]);
    assert_eq!(endpoint.seen().len(), 0);
    let logs = gateway.stop().await;
    assert!(!logs.text().contains(TOKEN), "{}", logs.text());
}

#[test]
fn check_knows_good_cdns_from_wrong_ones() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let check = |cdn: Value| {
        let config = setup(&cdn).config();
        fs::write(folder.path().join("c.json"), config.to_string()).unwrap();
        portcullis(folder.path(), &["check", "--config", "c.json"])
    };
    let good = check(json!([
        { "name": "a", "form": "fastly", "service": "SU1Z0", "token": TOKEN, "endpoint": "http://127.0.0.1:1", "queue_max": 5 },
        { "name": "b", "form": "cloudflare", "zone": "023e", "token": TOKEN, "endpoint": "http://localhost:1/proxy/" },
        { "name": "c", "form": "custom", "separator": " ",
          "tags": { "url": "http://cdn.internal/purge", "headers": { "authorization": format!("Bearer {TOKEN}"), "xkey": "{tags}" } },
          "urls": { "method": "PURGE", "url": "http://varnish:6081{path}", "headers": { "host": "{host}" } },
          "all": { "url": "http://cdn.internal/graphql", "body": { "query": "mutation { purge(mode: \"{mode}\") { id } }" } } },
    ]));
    assert_eq!(good.code, Some(0), "{}", good.text());
    let bad = check(json!([
        { "name": "a", "form": "fastly", "token": format!("{TOKEN}\u{1}"), "endpoint": "http://api.example" },
        { "name": "a", "form": "cloudflair" },
        { "name": "c", "form": "custom", "token": TOKEN, "tags": { "url": "http://cdn.internal/{tga}" } },
    ]));
    assert!(bad.code.is_some_and(|code| code != 0), "{}", bad.text());
    let text = bad.text();
    for words in [
        "cdn[0].service: missing; ",
        "cdn[0].token: is not a token",
        "cdn[0].endpoint: the token would be sent in cleartext; write \"https://\"",
        "cdn[1].name: \"a\" is used at cdn[0].name already",
        "cdn[1].form: \"cloudflair\" is not known here; did you mean \"cloudflare\"?",
        "cdn[2].token: has no effect in this form",
        "cdn[2].tags.url: there is no {tga}; did you mean {tag}?",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    assert!(!text.contains(TOKEN), "{text}");
}
