//! Carries out the `kv` calls that the request asks for in `x-kv`, and answers with what they gave.
//!
//! `get k` · `set k v [ttl_ms]` · `delete k` · `cas k old|- new` · `increment k delta [ttl_ms]` · `fill prefix count bytes`;
//! several are separated by `;`.

use std::time::Duration;

use portcullis_sdk::kv::{self, KvError};
use portcullis_sdk::prelude::*;

#[derive(Default)]
struct Probe;

fn ttl(text: Option<&str>) -> Option<Duration> {
    text.and_then(|text| text.parse().ok()).map(Duration::from_millis)
}

fn carry_out(command: &str) -> String {
    let mut words = command.split_whitespace();
    let mut word = || words.next().unwrap_or_default();
    let outcome = match word() {
        "get" => {
            return kv::get(word()).map_or("none".to_owned(), |value| String::from_utf8_lossy(&value).into_owned());
        }
        "delete" => return kv::delete(word()).to_string(),
        "set" => kv::set(word(), word(), ttl(words.next())).map(|()| "ok".to_owned()),
        "cas" => {
            let (key, expected, new) = (word(), word(), word());
            let expected = (expected != "-").then_some(expected.as_bytes());
            kv::compare_and_swap(key, expected, new, None).map(|swapped| swapped.to_string())
        }
        "increment" => {
            let (key, delta) = (word(), word());
            kv::increment(key, delta.parse().unwrap_or(0), ttl(words.next())).map(|sum| sum.to_string())
        }
        "fill" => {
            let (prefix, count, bytes) = (word(), word().parse().unwrap_or(0_u32), word().parse().unwrap_or(0));
            let value = vec![b'x'; bytes];
            let taken = (0..count).take_while(|number| kv::set(&format!("{prefix}{number}"), &value, None).is_ok());
            return taken.count().to_string();
        }
        _ => return "unknown".to_owned(),
    };
    outcome.unwrap_or_else(|error| match error {
        KvError::TooLarge => "too large".to_owned(),
        KvError::Quota => "quota".to_owned(),
        KvError::NotANumber => "not a number".to_owned(),
    })
}

#[portcullis_sdk::plugin(name = "kv-probe", grants = ["kv"])]
impl Plugin for Probe {
    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        let Some(commands) = request.header_named("x-kv") else { return Ok(Verdict::Next) };
        let results: Vec<_> = commands.as_str()?.split(';').map(carry_out).collect();
        Ok(Response::text(200, &results.join(";")).into())
    }
}
