//! Portcullis: an HTTP gateway in which every decision a user wants to own is a sandboxed WebAssembly component.
//!
//! The house has floors; a room uses only floors below its own (a test holds the code to it):
//!
//! | floor | rooms |
//! |---|---|
//! | 5 entry | [`cli`] |
//! | 4 assembly | [`gateway`], [`generation`], `worker`, [`warm`], [`admin`], [`purger`], [`config`], [`acme`], [`condition`], [`alerts`], [`advice`] |
//! | 3 door and hall | [`listener`], [`pipeline`] |
//! | 2 stations | [`router`], [`cache`], [`upstream`], [`plugin`], [`traffic`], [`files`], [`cdn`] |
//! | 1 ground | [`redis`], [`telemetry`], [`outbound`], [`tls`], [`modes`], [`repeats`], [`exchange`], [`http`], [`names`], [`time`], [`shutdown`], [`certificates`], [`regular`] |

pub mod cli;

pub mod acme;
pub mod admin;
pub mod advice;
pub mod alerts;
pub mod condition;
pub mod config;
pub mod gateway;
pub mod generation;
pub mod purger;
pub mod warm;
mod worker;

pub mod listener;
pub mod pipeline;

pub mod cache;
pub mod cdn;
pub mod files;
pub mod plugin;
pub mod router;
pub mod traffic;
pub mod upstream;

pub mod certificates;
pub mod exchange;
pub mod http;
pub mod modes;
pub mod names;
pub mod outbound;
pub mod redis;
pub mod regular;
pub mod repeats;
pub mod shutdown;
pub mod telemetry;
pub mod time;
pub mod tls;
