//! Durations as operators write them in a plugin's configuration: a whole number and a unit.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::Result;

/// A duration such as `30s`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milliseconds(pub u64);

impl Milliseconds {
    /// Reads a duration.
    ///
    /// # Errors
    /// What is no whole number with a unit, or too long for a `u64` of milliseconds.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || format!("`{text}` is not a duration; write a whole number and ms, s, m, h or d, such as `30s`");
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
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_make_a_duration() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(Milliseconds::parse(text).ok(), expected.map(Milliseconds), "{text:?}");
        };
        check("0s", Some(0));
        check("500ms", Some(500));
        check("30s", Some(30_000));
        check("10m", Some(600_000));
        check("1h", Some(3_600_000));
        check("7d", Some(604_800_000));
        for wrong in
            ["", "s", "10", "1.5s", "-1s", "10 s", "1w", "99999999999999999999s", "18446744073709551615d", "1ß"]
        {
            check(wrong, None);
        }
    }
}
