//! Plugins and endpoints of a real gateway are changed while it is under load.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs;

use portcullis_tests::artefacts::{self, broken};
use portcullis_tests::{Load, Origin, Request, Response, Setup, json};

use super::gateway_tests::*;
use super::*;

fn is_served(response: &Response) -> Result<(), String> {
    if (response.status, response.text()) == (200, "hello") { Ok(()) } else { Err(format!("{response:?}")) }
}

#[tokio::test]
async fn plugins_are_switched_off_and_on_and_reordered_under_load() {
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin).patch(&json!({ "workers": 2 })).guest("version", json!({ "word": "kept" }));
    let gateway = Running::start(&setup.file("clock-probe.wasm", artefacts::guest("clock-probe")));
    let load = Load::at(gateway.address, 4, &Request::get("/"), is_served);
    let (version, probe) = (plugin("version"), plugin("clock-probe"));
    let state = |name: &Name| gateway.operations.plugin(name).unwrap()["state"].clone();
    for _ in 0..3 {
        let off = gateway.operations.set_plugin(ticket("off"), &version, enabled(false)).await.unwrap();
        assert_eq!(off.survival, Survival::Survives);
        assert_eq!((gateway.version().await, state(&version)), (None, json!("disabled")));
        gateway.operations.set_plugin(ticket("on"), &version, enabled(true)).await.unwrap();
        assert_eq!((gateway.version().await.is_some(), state(&version)), (true, json!("active")));
    }
    // The unlisted one gets an entry.
    let order = vec!["clock-probe".to_owned(), "version".to_owned()];
    gateway.operations.order_plugins(ticket("order"), order.clone()).await.unwrap();
    let names = |plugins: Vec<Value>| {
        plugins.iter().map(|plugin| plugin["plugin"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(gateway.operations.plugins()), order);
    assert_eq!(gateway.operations.plugin(&probe).unwrap()["listed"], true);
    let edit = PluginEdit { config: Some(json!({ "word": "new" })), ..PluginEdit::default() };
    gateway.operations.set_plugin(ticket("config"), &version, edit).await.unwrap();
    assert_eq!(gateway.get("/").await.value("x-version-config"), Some("new"));
    let refusal = gateway.operations.set_plugin(ticket("who"), &plugin("nobody"), enabled(false)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unknown(_)), "{refusal:?}");
    load.stop().await.expect_clean(50);
}

#[tokio::test]
async fn a_plugin_is_uploaded_rolled_back_and_removed_under_load() {
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin).patch(&json!({ "workers": 2 }));
    let gateway = Running::start(&setup.file("version.wasm", artefacts::version(1)).entry("version", json!({})));
    let load = Load::at(gateway.address, 4, &Request::get("/"), is_served);
    let version = plugin("version");
    let first = gateway.operations.plugin(&version).unwrap()["hash"].as_str().unwrap().to_owned();
    let uploaded = gateway.operations.upload(ticket("two"), &version, artefacts::version(2).into()).await.unwrap();
    assert_eq!(gateway.version().await.as_deref(), Some("00000002"), "it serves when the answer comes");
    let (hash, _) = uploaded.file.unwrap();
    assert_eq!(fs::read(gateway.file("plugins/version.wasm")).unwrap(), artefacts::version(2));
    gateway.watched().await;
    assert_eq!(gateway.generation(), uploaded.generation, "the watcher has nothing to add");
    let versions = gateway.operations.versions(&version).await.unwrap();
    assert_eq!(
        versions.iter().map(|v| (v.hash.as_str(), v.current)).collect::<Vec<_>>(),
        [(hash.as_str(), true), (first.as_str(), false)]
    );

    gateway.operations.rollback_plugin(ticket("back"), &version, &first).await.unwrap();
    assert_eq!(gateway.version().await.as_deref(), Some("00000001"));
    let refusal = gateway.operations.rollback_plugin(ticket("back"), &version, "../x").await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unknown(_)), "{refusal:?}");
    gateway.operations.remove(ticket("away"), &version).await.unwrap();
    assert_eq!((gateway.version().await, gateway.file("plugins/version.wasm").exists()), (None, false));
    assert_eq!(gateway.written()["plugins"]["chain"], json!([]));
    let gateway = gateway.restarted_under(load).await;
    // What was removed can be had back.
    gateway.operations.rollback_plugin(ticket("again"), &version, &hash).await.unwrap();
    assert_eq!(gateway.version().await.as_deref(), Some("00000002"));
}

#[tokio::test]
async fn of_two_uploads_that_saw_the_same_one_wins() {
    let setup = Setup::new().route(answering("a")).file("version.wasm", artefacts::version(1));
    let gateway = Running::start(&setup.entry("version", json!({})));
    let seen = gateway.operations.etag();
    let upload = async |number: u32| {
        let ticket = Ticket { if_match: Some(format!("\"{seen}\"")), ..ticket("upload") };
        gateway.operations.upload(ticket, &plugin("version"), artefacts::version(number).into()).await
    };
    let applied = upload(2).await.unwrap();
    assert_eq!((&applied.etag, applied.etag == seen), (&gateway.operations.etag(), false));
    let refusal = upload(3).await.unwrap_err();
    assert!(matches!(refusal, Refusal::NotCurrent { ref etag } if *etag == applied.etag), "{refusal:?}");
    assert_eq!(gateway.version().await.as_deref(), Some("00000002"));
}

#[tokio::test]
async fn a_plugin_that_goes_never_runs_without_its_entry() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let setup = Setup::new().route(answering("a")).file("version.wasm", artefacts::version(1));
    let gateway = Running::start(&setup.entry("version", json!({})));
    let (main, file) = (gateway.file("portcullis.json"), gateway.file("plugins/version.wasm"));
    let over = Arc::new(AtomicBool::new(false));
    // What a crash would leave at any moment.
    let watching = Arc::clone(&over);
    let watch = std::thread::spawn(move || {
        let mut alone = 0;
        while !watching.load(Ordering::Relaxed) {
            let listed = fs::read_to_string(&main).unwrap().contains("version");
            alone += u32::from(!listed && file.exists());
        }
        alone
    });
    gateway.operations.remove(ticket("away"), &plugin("version")).await.unwrap();
    over.store(true, Ordering::Relaxed);
    assert_eq!(watch.join().unwrap(), 0, "it would have run on every route");
    assert_eq!(fs::read_dir(gateway.file("plugins")).unwrap().count(), 0);
    assert_eq!(gateway.written()["plugins"]["chain"], json!([]));
    let history = gateway.operations.history().await.unwrap();
    assert_eq!(history.len(), 2, "what was only on the way is none of it");
}

impl Running {
    /// The same once a load has ended, which lost nothing.
    async fn restarted_under(self, load: Load) -> Self {
        load.stop().await.expect_clean(20);
        tokio::task::spawn_blocking(|| self.restarted()).await.unwrap()
    }
}

#[tokio::test]
async fn what_does_not_work_is_not_put_in_place() {
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin)
        .file("version.wasm", artefacts::version(1))
        .entry("version", json!({ "config": { "word": "w" } }));
    let setup = setup.guest("bad-init", json!({ "how": "fine" }));
    let gateway = Running::start(&setup);
    let (version, bad_init) = (plugin("version"), plugin("bad-init"));
    let load = Load::at(gateway.address, 2, &Request::get("/"), is_served);
    let bad = [
        (&version, broken::text(), "not WebAssembly"),
        (&version, broken::empty(), "incomplete"),
        (&version, broken::half(), "component"),
        (&version, broken::precompiled(), "precompiled"),
        (&version, broken::other_contract(), "this gateway speaks"),
        (&version, broken::core_module(), "core WebAssembly module"),
        // It wants another configuration.
        (&version, artefacts::guest("bad-init"), "$.plugins.chain[0].config"),
        (&bad_init, artefacts::version(2), "$.plugins.chain[1].config.how"),
    ];
    for (plugin, bytes, why) in bad {
        let refusal = gateway.operations.upload(ticket("bad"), plugin, bytes.into()).await.unwrap_err();
        assert!(problems(&refusal).contains(why), "{why}: {}", problems(&refusal));
    }
    let spin = PluginEdit { config: Some(json!({ "how": "spin" })), ..PluginEdit::default() };
    let refusal = gateway.operations.set_plugin(ticket("spin"), &bad_init, spin).await.unwrap_err();
    assert!(problems(&refusal).contains("`init`"), "{}", problems(&refusal));
    assert_eq!(fs::read(gateway.file("plugins/version.wasm")).unwrap(), artefacts::version(1));
    assert_eq!(fs::read_dir(gateway.file("plugins")).unwrap().count(), 2, "nothing is left beside");
    assert_eq!((gateway.version().await.as_deref(), gateway.generation()), (Some("00000001"), 1));
    load.stop().await.expect_clean(10);
}

#[tokio::test]
async fn an_endpoint_is_drained_and_weighed() {
    let (one, other) = (Origin::saying("one").await, Origin::saying("other").await);
    let endpoints = json!([one.address().to_string(), other.address().to_string()]);
    let gateway =
        Running::start(&Setup::new().patch(&json!({ "upstreams": { "origin": { "endpoints": endpoints } } })));
    let set = |weight: Option<Value>, drain: Option<Value>| {
        let endpoint = one.address().to_string();
        let operations = gateway.operations.clone();
        async move { operations.endpoint(ticket("endpoint"), "origin", &endpoint, (weight, drain)).await }
    };
    let drained = set(None, Some(json!(true))).await.unwrap();
    assert_eq!(drained.changes.len(), 1);
    for _ in 0..6 {
        assert_eq!(gateway.says().await, "other");
    }
    set(Some(json!(3)), Some(json!(false))).await.unwrap();
    let mut ones = 0;
    for _ in 0..8 {
        ones += usize::from(gateway.says().await == "one");
    }
    assert!((5..=7).contains(&ones), "three of four, but {ones} of eight");
    let refusal = set(Some(json!(0)), None).await.unwrap_err();
    assert!(problems(&refusal).contains("$.upstreams.origin.endpoints[0]"), "{}", problems(&refusal));
    set(Some(Value::Null), None).await.unwrap();
    assert_eq!(gateway.written()["upstreams"]["origin"]["endpoints"], endpoints);
}

#[tokio::test]
async fn a_gateway_that_drains_takes_no_orders() {
    let gateway = Running::start(&Setup::new().route(answering("one")));
    gateway.control.drain();
    let document = gateway.operations.document().document;
    let refusal = gateway.operations.apply(ticket("late"), with_routes(&document, "two")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Draining), "{refusal:?}");
}
