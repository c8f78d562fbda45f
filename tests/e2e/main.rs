//! End-to-end tests: real processes, real sockets, real components. Run them with `cargo xtask test`, which builds what they need.
//!
//! Each module's first line says what belongs there. The kit is the library of this package.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod access_log;
mod acme;
mod admin_access;
mod admin_api;
mod broken;
mod browser;
mod budgets;
mod cache;
mod cache_abuse;
mod cache_http;
mod cache_restart;
mod cache_shared;
mod capabilities;
mod cdn;
mod cli;
mod compression;
mod condition;
mod config_reload;
mod ctl;
mod dashboard;
mod demo;
mod drain;
mod files;
mod gone;
mod grpc;
mod health;
mod http2_strict;
mod kit;
mod lifecycle;
mod limits;
mod metrics;
mod operations;
mod order;
mod overload;
mod plugins_cache;
mod plugins_guards;
mod plugins_headers;
mod plugins_jwt;
mod plugins_timing;
mod proxy;
mod purging;
mod redis;
mod routing;
mod sse;
mod swap;
mod tls;
mod tracing;
mod upstream_tls;
mod upstreams;
mod websocket;
