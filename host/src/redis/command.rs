//! Commands of Redis, and what their answers mean.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Value, cmd};
use bytes::Bytes;

use super::Reply;
use super::trouble::Trouble;

/// Deletes a key only if it holds our token: between a look and a deletion it could become somebody else's.
const UNLOCK: &str = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) else return 0 end";

pub(super) fn get(key: &[u8]) -> Cmd {
    let mut command = cmd("GET");
    command.arg(key);
    command
}

pub(super) fn set(key: &[u8], value: &[u8], ttl: Duration) -> Cmd {
    let mut command = cmd("SET");
    command.arg(key).arg(value).arg("PX").arg(millis(ttl));
    command
}

pub(super) fn delete(key: &[u8]) -> Cmd {
    let mut command = cmd("UNLINK");
    command.arg(key);
    command
}

pub(super) fn increment(key: &[u8]) -> Cmd {
    let mut command = cmd("INCR");
    command.arg(key);
    command
}

pub(super) fn publish(channel: &[u8], message: &[u8]) -> Cmd {
    let mut command = cmd("PUBLISH");
    command.arg(channel).arg(message);
    command
}

pub(super) fn lock(key: &[u8], token: u64, ttl: Duration) -> Cmd {
    let mut command = cmd("SET");
    command.arg(key).arg(token).arg("NX").arg("PX").arg(millis(ttl));
    command
}

pub(super) fn unlock(key: &[u8], token: u64) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(UNLOCK).arg(1).arg(key).arg(token);
    command
}

pub(super) fn eval(script: &str, keys: &[Vec<u8>], arguments: &[&[u8]]) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(key);
    }
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

/// Redis refuses 0, and what does not fit into 64 bits with a sign once the present is added.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, u64::from(u32::MAX) * 1000)
}

/// A value, or that there is none.
pub(super) fn value(answer: Value, bytes_max: usize) -> Result<Option<Bytes>, Trouble> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) if bytes.len() <= bytes_max => Ok(Some(Bytes::from(bytes))),
        Value::BulkString(bytes) => Err(Trouble::TooLong { bytes: bytes.len(), bytes_max }),
        other => Err(strange(&other)),
    }
}

pub(super) fn number(answer: Value) -> Result<u64, Trouble> {
    match answer {
        Value::Int(number) if let Ok(number) = u64::try_from(number) => Ok(number),
        other => Err(strange(&other)),
    }
}

/// What a script gives.
pub(super) fn reply(answer: Value) -> Reply {
    match answer {
        Value::Int(number) => Reply::Number(number),
        Value::BulkString(bytes) => Reply::Bytes(Bytes::from(bytes)),
        Value::SimpleString(text) => Reply::Bytes(Bytes::from(text)),
        Value::Array(list) => Reply::List(list.into_iter().map(reply).collect()),
        _ => Reply::Nothing,
    }
}

/// Whether it was done.
pub(super) fn done(answer: Value) -> Result<bool, Trouble> {
    match answer {
        Value::Okay => Ok(true),
        Value::Nil => Ok(false),
        other => Err(strange(&other)),
    }
}

fn strange(answer: &Value) -> Trouble {
    let kind = match answer {
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        Value::Array(_) => "a list",
        _ => "something",
    };
    Trouble::Refused { node: Arc::from("the node"), why: format!("{kind} was not asked for").into() }
}
