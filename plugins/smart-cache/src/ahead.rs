//! How far ahead of its end something is renewed, as operators write it: a duration, or a share of a ttl.

use portcullis_sdk::duration::Milliseconds;
use portcullis_sdk::prelude::*;
use portcullis_sdk::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use portcullis_sdk::serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;

/// When a response is renewed ahead of time: `10%` of its ttl before the end, or a duration before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    Percent(u8),
    Left(Milliseconds),
}

/// Most of a ttl that can be ahead of its end. With all of it every hit would fetch.
const PERCENT_MAX: u8 = 90;

impl Ahead {
    fn parse(text: &str) -> Result<Self> {
        let Some(percent) = text.strip_suffix('%') else { return Milliseconds::parse(text).map(Self::Left) };
        let percent = percent.parse().ok().filter(|percent| *percent <= PERCENT_MAX && !text.starts_with('+'));
        let wrong =
            || format!("`{text}` is not a share of a ttl; write `10%`, up to {PERCENT_MAX}%, or a duration").into();
        percent.map(Self::Percent).ok_or_else(wrong)
    }

    /// Milliseconds before the end of this ttl.
    pub(crate) fn of(self, ttl: u64) -> u64 {
        let share = |percent: u8| ttl / 100 * u64::from(percent) + ttl % 100 * u64::from(percent) / 100;
        match self {
            Self::Percent(percent) => share(percent),
            Self::Left(left) => left.0.min(share(PERCENT_MAX)),
        }
    }
}

impl<'de> Deserialize<'de> for Ahead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| de::Error::custom(error.message()))
    }
}

impl JsonSchema for Ahead {
    fn schema_name() -> Cow<'static, str> {
        "Ahead".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-8]?[0-9]%|90%|[0-9]+(ms|s|m|h|d))$",
            "description": "A share of the ttl up to 90% (`10%`), or a whole number and a unit: `500ms`, `30s`, `10m`, `1h`, `7d`.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ahead_is_a_share_or_a_duration() {
        let check = |text: &str, expected: Option<Ahead>| assert_eq!(Ahead::parse(text).ok(), expected, "{text:?}");
        check("0%", Some(Ahead::Percent(0)));
        check("90%", Some(Ahead::Percent(90)));
        check("30s", Some(Ahead::Left(Milliseconds(30_000))));
        for wrong in ["%", "91%", "100%", "-1%", "+1%", "1.5%", "10 %", "10"] {
            check(wrong, None);
        }
    }
}
