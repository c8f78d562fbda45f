//! A component that purges a tag in `pre-handler`, with the grant and without.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue, Method, Version};
use serde_json::Map;

use crate::exchange::{Client, Exchange, Held, Request};
use crate::names::{Grant, Name};
use crate::plugin::metrics::Registry;
use crate::plugin::{
    BindError, CallError, Code, Entry, Lane, Limits, Loaded, PurgeMode, PurgeTarget, Purges, Services, Visit,
};
use crate::time;

/// Writes down what it is asked for.
#[derive(Default)]
struct Recording(Mutex<Vec<String>>);

impl Purges for Recording {
    fn purge(&self, target: PurgeTarget<'_>, mode: PurgeMode) -> Result<u64, String> {
        self.0.lock().unwrap().push(format!("{target:?} {mode:?}"));
        Ok(1)
    }
}

/// Purges the tag `news` softly, `times` in a call; of the tag only the first `length` bytes.
fn purger(times: usize, length: usize) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "portcullis:plugin/types@0.1.0" (instance $types
                (export "request" (type (sub resource)))
                (export "response" (type $response (sub resource)))
                (type $v (variant (case "next") (case "respond" (own $response))))
                (export "verdict" (type (eq $v)))))
            (alias export $types "request" (type $request))
            (alias export $types "verdict" (type $verdict))
            (import "portcullis:plugin/cache@0.1.0" (instance $cache
                (type $t (variant (case "key" string) (case "url" string) (case "tag" string) (case "pattern" string)
                    (case "version" string) (case "all")))
                (export "purge-target" (type $target (eq $t)))
                (type $m (enum "hard" "soft"))
                (export "purge-mode" (type $mode (eq $m)))
                (export "purge" (func (param "target" $target) (param "mode" $mode)
                    (result (result u64 (error string)))))))
            (core module $memory
                (memory (export "memory") 1)
                (data (i32.const 16) "news")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
            (core instance $memory (instantiate $memory))
            (core func $purge (canon lower (func $cache "purge")
                (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
            (core func $drop (canon resource.drop $request))
            (core module $code
                (import "host" "purge" (func $purge (param i32 i32 i32 i32 i32)))
                (import "host" "drop" (func $drop (param i32)))
                (func (export "hook") (param i32) (result i32)
                    {}
                    (call $drop (local.get 0))
                    i32.const 256))
            (core instance $code (instantiate $code
                (with "host" (instance (export "purge" (func $purge)) (export "drop" (func $drop))))))
            (func $hook (param "request" (borrow $request)) (result (result $verdict (error string)))
                (canon lift (core func $code "hook") (memory (core memory $memory "memory"))))
            (instance $export (export "pre-handler" (func $hook)))
            (export "portcullis:plugin/pre-handler@0.1.0" (instance $export)))"#,
        // The case `tag`, its text, the mode `soft`, and where the result goes.
        format!("(call $purge (i32.const 2) (i32.const 16) (i32.const {length}) (i32.const 1) (i32.const 512))")
            .repeat(times)
    );
    wat::parse_str(text).unwrap()
}

fn exchange() -> Held {
    let now = time::now();
    Held::new(Exchange::new(
        HeaderValue::from_static("1"),
        now,
        Arc::new(Client::new((Ipv4Addr::LOCALHOST, 1).into(), (Ipv4Addr::LOCALHOST, 80).into(), None)),
        Request {
            method: Method::GET,
            authority: "example.com".into(),
            target: "/".parse().unwrap(),
            headers: HeaderMap::new(),
            version: Version::HTTP_11,
            upgrade: None,
        },
    ))
}

struct Bench {
    services: Arc<Services>,
    code: Arc<Code>,
    name: Name,
}

impl Bench {
    fn new(component: &[u8]) -> Self {
        let services = Services::new(Arc::new(Registry::default())).unwrap();
        let name: Name = "purger".parse().unwrap();
        let code = Arc::new(Code::load(&services, &name, component).unwrap());
        Self { services, code, name }
    }

    /// With the description that it would give of itself.
    fn asking(mut self, grant: &str) -> Self {
        Arc::get_mut(&mut self.code).unwrap().description.grants = vec![grant.to_owned()];
        self
    }

    fn bind(&self, grants: &[Grant]) -> Result<Arc<Loaded>, BindError> {
        let limits = Limits { host_bytes_max: 8 * 1024, ..Limits::default() };
        let config = serde_json::Value::Object(Map::new());
        let grants = grants.iter().copied().collect();
        Loaded::new(&self.services, &self.code, Entry { config, grants, limits, ..Entry::unlisted(self.name.clone()) })
    }

    fn call(&self, grants: &[Grant]) -> Result<(), CallError> {
        let lane = Lane::new(self.bind(grants).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(lane.pre_handler(&mut exchange(), &mut Visit::default())).map(drop)
    }

    fn recording(&self) -> Arc<Recording> {
        let recording = Arc::new(Recording::default());
        self.services.purge_through(recording.clone());
        recording
    }
}

#[test]
fn with_the_grant_a_purge_reaches_the_cache() {
    let bench = Bench::new(&purger(2, 4));
    // Where there is none, the plugin is told so and lives on.
    bench.call(&[Grant::Cache]).unwrap();
    let recording = bench.recording();
    bench.call(&[Grant::Cache]).unwrap();
    assert_eq!(*recording.0.lock().unwrap(), ["Tag(\"news\") Soft", "Tag(\"news\") Soft"]);
}

#[test]
fn without_the_grant_the_plugin_is_refused() {
    let error = Bench::new(&purger(1, 4)).bind(&Grant::DEFAULT).unwrap_err();
    assert!(matches!(error, BindError::NotGranted { grant: "cache", .. }), "{error}");
    assert!(error.to_string().contains("add an entry for it to plugins.chain with \"grants\": [\"cache\"]"), "{error}");
}

#[test]
fn who_can_do_without_is_loaded_and_traps_when_it_does_not() {
    let bench = Bench::new(&purger(1, 4)).asking("cache?");
    let recording = bench.recording();
    let error = bench.call(&[]).unwrap_err();
    assert!(matches!(error, CallError::NotGranted { grant: Grant::Cache, .. }), "{error}");
    assert_eq!(error.to_string(), "called `portcullis:plugin/cache@0.1.0` without the grant `cache`");
    assert!(recording.0.lock().unwrap().is_empty());
    bench.call(&[Grant::Cache]).unwrap();
    assert_eq!(recording.0.lock().unwrap().len(), 1);
    // Another grant with a question mark is no excuse for this one.
    assert!(Bench::new(&purger(1, 4)).asking("kv?").bind(&[]).is_err());
}

#[test]
fn purges_are_paid_for() {
    let bench = Bench::new(&purger(9, 4));
    let recording = bench.recording();
    assert!(matches!(bench.call(&[Grant::Cache]), Err(CallError::HostBytes(_))));
    assert_eq!(recording.0.lock().unwrap().len(), 7);
}

#[test]
fn an_empty_text_names_nothing() {
    let bench = Bench::new(&purger(1, 0));
    let recording = bench.recording();
    bench.call(&[Grant::Cache]).unwrap();
    assert!(recording.0.lock().unwrap().is_empty());
}
