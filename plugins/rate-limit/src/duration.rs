//! Durations as operators write them: a whole number and a unit.

use std::borrow::Cow;

use portcullis_sdk::prelude::*;
use portcullis_sdk::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use portcullis_sdk::serde::{Deserialize, Deserializer, de};

/// A duration such as `30s`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Milliseconds(pub(crate) u64);

impl Milliseconds {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || format!("`{text}` is not a duration; write a whole number and ms, s, m, h or d, such as `1m`");
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong().into()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(|| wrong().into())
    }
}

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| de::Error::custom(error.message()))
    }
}

impl JsonSchema for Milliseconds {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
            "description": "A whole number and a unit: `500ms`, `30s`, `10m`, `1h`, `7d`.",
        })
    }
}
