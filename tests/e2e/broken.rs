//! Files that are not plugins and plugins that do not fit: the old version goes on serving, and the log says what and why.

use portcullis_tests::artefacts::{self, broken};
use portcullis_tests::{Gateway, Origin, Request, Response, Setup, Value, json};

fn version(response: &Response) -> Option<&str> {
    response.value("x-version")
}

async fn serving_version_one() -> (Origin, Gateway) {
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin).file("version.wasm", artefacts::version(1)).entry("version", json!({}));
    let gateway = setup.start().await;
    assert_eq!(version(&gateway.get("/").await), Some("00000001"));
    (origin, gateway)
}

/// Ways to be broken, and what the operator must read.
fn ways() -> Vec<(&'static str, Vec<u8>, Vec<&'static str>)> {
    vec![
        ("half-written", broken::half(), vec!["valid component"]),
        ("text", broken::text(), vec!["not WebAssembly"]),
        ("empty", broken::empty(), vec!["incomplete"]),
        ("core module", broken::core_module(), vec!["core WebAssembly module"]),
        ("precompiled", broken::precompiled(), vec!["precompiled"]),
        ("other contract", broken::other_contract(), vec!["built for", "@0.9.0", "0.1.0"]),
        ("wrong type", broken::wrong_type(), vec!["pre-handler", "wrong type", "u32", "borrow<request>"]),
        ("no hook", broken::no_hook(), vec!["no hook"]),
    ]
}

#[tokio::test]
async fn a_broken_file_leaves_the_old_version_serving() {
    let (_origin, gateway) = serving_version_one().await;
    for (what, bytes, words) in ways() {
        let mark = gateway.logs().mark();
        gateway.put_plugin("version.wasm", &bytes);
        let mut all = vec!["version"];
        all.extend(&words);
        gateway.logs().wait_for_words(mark, &all).await;
        let response = gateway.get("/").await;
        assert_eq!((response.status, version(&response)), (200, Some("00000001")), "{what}");
    }
    gateway.put_plugin("version.wasm", &artefacts::version(2));
    gateway.until("the repaired file", Request::get("/"), |response| version(response) == Some("00000002")).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_broken_file_that_the_chain_does_not_name_is_left_out() {
    let (_origin, gateway) = serving_version_one().await;
    for (what, bytes, words) in ways() {
        let mark = gateway.logs().mark();
        gateway.put_plugin("extra.wasm", &bytes);
        let mut all = vec!["extra"];
        all.extend(&words);
        gateway.logs().wait_for_words(mark, &all).await;
        assert_eq!(version(&gateway.get("/").await), Some("00000001"), "{what}");
    }
}

#[tokio::test]
async fn a_removed_file_that_the_chain_names_goes_on_serving() {
    let (_origin, gateway) = serving_version_one().await;
    let mark = gateway.logs().mark();
    gateway.remove_plugin("version.wasm");
    gateway.logs().wait_for_words(mark, &["version", "no version.wasm"]).await;
    assert_eq!(version(&gateway.get("/").await), Some("00000001"));
}

#[tokio::test]
async fn a_version_that_does_not_get_through_init_is_not_taken() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin)
        .file("version.wasm", artefacts::version(1))
        .entry("version", json!({ "config": { "word": "same" } }))
        .start()
        .await;
    // Another plugin under the same name, whose schema does not know this configuration.
    let mark = gateway.logs().mark();
    gateway.put_plugin("version.wasm", &artefacts::guest("bad-init"));
    gateway.logs().wait_for_words(mark, &["version", "word"]).await;
    assert_eq!(version(&gateway.get("/").await), Some("00000001"));
}

/// A change of the configuration that the plugin does not take is refused as a whole.
async fn refused(change: Value, words: &[&str]) {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).guest("bad-init", json!({ "how": "fine" })).start().await;
    let mark = gateway.logs().mark();
    gateway.patch_config(&json!({ "plugins": { "chain": [change] } }));
    gateway.logs().wait_for_words(mark, words).await;
    let response = gateway.get("/").await;
    assert_eq!((response.status, response.value("x-bad-init")), (200, Some("fine")));
}

#[tokio::test]
async fn a_configuration_that_init_refuses_leaves_the_old_one() {
    let with = |how: &str| json!({ "plugin": "bad-init", "config": { "how": how } });
    refused(with("error"), &["bad-init", "does not like this configuration"]).await;
    refused(with("trap"), &["bad-init", "init", "trap"]).await;
    refused(with("spin"), &["bad-init", "init", "fuel"]).await;
    refused(with("memory"), &["bad-init", "init", "memory"]).await;
}

#[tokio::test]
async fn a_configuration_that_the_schema_refuses_leaves_the_old_one() {
    let wrong_value = json!({ "plugin": "bad-init", "config": { "how": "magic" } });
    refused(wrong_value, &["bad-init", "how", "magic"]).await;
    let unknown_key = json!({ "plugin": "bad-init", "config": { "how": "fine", "hwo": 1 } });
    refused(unknown_key, &["bad-init", "hwo"]).await;
    refused(json!({ "plugin": "bad-init" }), &["bad-init", "how"]).await;
}

#[tokio::test]
async fn an_import_that_was_not_granted_is_named_with_its_remedy() {
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin).guest("kv-probe", json!({}));
    let (code, text) = Gateway::fail_to_start(&setup).await;
    assert!(code.is_some_and(|code| code != 0), "{code:?} {text}");
    for word in ["kv-probe", "portcullis:plugin/kv", "\"kv\" to plugins.chain[0].grants"] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }

    // Not named in the chain: only the default grants, so it does not join; everything else goes on.
    let gateway = Setup::to(&origin).file("kv-probe.wasm", artefacts::guest("kv-probe")).start().await;
    gateway.logs().wait_for_words(0, &["kv-probe", "grant"]).await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn at_start_everything_that_the_chain_names_must_work() {
    let origin = Origin::saying("hello").await;
    for (what, bytes, words) in ways() {
        let setup = Setup::to(&origin).file("guard.wasm", bytes).entry("guard", json!({}));
        let (code, text) = Gateway::fail_to_start(&setup).await;
        assert!(code.is_some_and(|code| code != 0), "{what}: {code:?} {text}");
        assert!(text.contains("guard") && words.iter().all(|word| text.contains(word)), "{what}: {text}");
    }
    let (code, text) = Gateway::fail_to_start(&Setup::to(&origin).entry("absent", json!({}))).await;
    assert!(code.is_some_and(|code| code != 0) && text.contains("absent.wasm"), "{code:?} {text}");
}

#[tokio::test]
async fn a_slow_init_within_its_budget_is_fine() {
    let origin = Origin::saying("hello").await;
    let entry = json!({ "config": { "ms": 200 }, "limits": { "fuel": 1_000_000_000_u64, "timeout_ms": 1000 } });
    let gateway = Setup::to(&origin).guest_as("slow-init", "slow-init", entry).start().await;
    assert_eq!(gateway.get("/").await.value("x-slow-init"), Some("done"));
}

#[tokio::test]
async fn compiled_code_that_was_damaged_is_compiled_again() {
    let origin = Origin::saying("hello").await;
    let folder = tempfile::tempdir().unwrap();
    // Made by the gateway, and so for its user alone.
    let cache = folder.path().join("compiled");
    let setup = || {
        let path = cache.to_str().unwrap();
        Setup::to(&origin).guest("version", json!({})).environment("PORTCULLIS_CACHE_DIR", path)
    };
    let gateway = setup().start().await;
    assert!(gateway.get("/").await.value("x-version").is_some());
    gateway.stop().await;

    let files: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let mut code = std::fs::read(&files[0]).unwrap();
    let middle = code.len() / 2;
    code[middle..middle + 2000].iter_mut().for_each(|byte| *byte ^= 0xff);
    std::fs::write(&files[0], &code).unwrap();

    let gateway = setup().start().await;
    assert!(gateway.get("/").await.value("x-version").is_some());
    gateway.stop().await;
    // Damage that does no harm at once would go unnoticed above: what counts is that the damaged code was not used.
    assert!(std::fs::read(&files[0]).unwrap() != code, "the damaged code was taken");
}
