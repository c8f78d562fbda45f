//! What the benches share: built components as lanes, and exchanges to send through them.
//!
//! `cargo xtask bench` builds the components first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot run says so and ends"
)]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use portcullis::exchange::{Client, Exchange, Held, Request, Response};
use portcullis::http::Body;
use portcullis::names::Grant;
use portcullis::plugin::metrics::Registry;
use portcullis::plugin::{Code, Entry, InstanceMode, Lane, Loaded, Services};
use portcullis::time;
use serde_json::Value;

/// What plugins share.
pub fn services() -> Arc<Services> {
    Services::new(Arc::new(Registry::default())).expect("this machine runs Wasm")
}

fn components() -> PathBuf {
    if let Some(told) = std::env::var_os("PORTCULLIS_TEST_ARTEFACTS") {
        return PathBuf::from(told);
    }
    let here = std::env::current_exe().expect("a path");
    let found = here.ancestors().map(|folder| folder.join("wasm32-wasip2/plugin")).find(|folder| folder.is_dir());
    found.expect("no built components: run `cargo xtask bench`")
}

/// A lane into a built component; `guest` ones lie in `examples/`.
pub fn lane(services: &Arc<Services>, file: &str, config: Value, instance: InstanceMode) -> Lane {
    let path = components().join(Path::new(file));
    let bytes =
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask bench`", path.display()));
    let name = path.file_stem().unwrap().to_str().unwrap().replace('_', "-").parse().unwrap();
    let code = Code::load(services, &name, &bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
    let grants = Grant::ALL.into_iter().collect();
    let entry = Entry { config, grants, instance, ..Entry::unlisted(name) };
    Lane::new(Loaded::new(services, &Arc::new(code), entry).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// An exchange with a small request and response.
pub fn exchange(headers: &[(&'static str, String)]) -> Held {
    let now = time::now();
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("example.com"));
    fields.insert("user-agent", HeaderValue::from_static("bench"));
    for (name, value) in headers {
        fields.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let mut response = Response::new(StatusCode::OK, Body::Empty);
    response.headers.insert("content-type", HeaderValue::from_static("application/json"));
    Held::new(Exchange {
        response: Some(response),
        ..Exchange::new(
            HeaderValue::from_static("00000000000000000000000000000000"),
            now,
            Arc::new(Client::new((Ipv4Addr::LOCALHOST, 1).into(), (Ipv4Addr::LOCALHOST, 80).into(), None)),
            Request {
                method: Method::GET,
                authority: "example.com".into(),
                target: "/api/items".parse().unwrap(),
                headers: fields,
                version: Version::HTTP_11,
                upgrade: None,
            },
        )
    })
}
