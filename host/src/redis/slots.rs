//! Which node of a cluster has which keys (Redis Cluster specification, "Key distribution model"). Pure.

use std::ops::RangeInclusive;

use ::redis::Value;

use super::settings::Address;

/// How many slots there are.
const SLOTS: u16 = 16_384;

/// The slot of a key: of the part between its first `{` and the `}` after it, if there is something between them.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        rest.get(..rest.iter().position(|byte| *byte == b'}')?)
    });
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc: u16, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

/// Slots and who has them.
pub(super) type Ranges = Vec<(RangeInclusive<u16>, Address)>;

/// Reads the answer to `CLUSTER SLOTS`. A node that does not say its host is the one that was `asked`.
pub(super) fn ranges(answer: &Value, asked: &Address) -> Option<Ranges> {
    let Value::Array(entries) = answer else { return None };
    let ranges: Option<Ranges> = entries.iter().map(|entry| range(entry, asked)).collect();
    ranges.filter(|ranges| !ranges.is_empty())
}

fn range(entry: &Value, asked: &Address) -> Option<(RangeInclusive<u16>, Address)> {
    let Value::Array(parts) = entry else { return None };
    let number = |index: usize| match parts.get(index) {
        Some(Value::Int(number)) => u16::try_from(*number).ok(),
        _ => None,
    };
    let Some(Value::Array(master)) = parts.get(2) else { return None };
    let (Some(host), Some(Value::Int(port))) = (master.first(), master.get(1)) else { return None };
    Some((number(0)?..=number(1)?, node(text(host), u16::try_from(*port).ok()?, asked)?))
}

/// The node that a redirection names: `host:port`, or `:port` for the host that was `asked`.
pub(super) fn redirected(text: &str, asked: &Address) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    node(Some(host), port.parse().ok()?, asked)
}

fn node(host: Option<&str>, port: u16, asked: &Address) -> Option<Address> {
    let host = host.filter(|host| !host.is_empty() && *host != "?");
    match (host, asked) {
        (Some(host), _) => Some(Address::Tcp(host.to_owned(), port)),
        (None, Address::Tcp(host, _)) => Some(Address::Tcp(host.clone(), port)),
        (None, Address::Unix(_)) => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As `CLUSTER KEYSLOT` says.
        let check = |key: &[u8], expected: u16| assert_eq!(slot(key), expected, "{}", String::from_utf8_lossy(key));
        check(b"123456789", 12_739);
        check(b"foo", 12_182);
        check(b"", 0);
        check(b"{foo}.bar", 12_182);
        check(b"a{foo}{bar}", 12_182);
        assert_eq!(slot(b"{}.bar"), crc16(b"{}.bar") % SLOTS);
        assert_eq!(slot(b"{foo"), crc16(b"{foo") % SLOTS);
    }

    #[test]
    fn answers_are_read() {
        let asked = Address::Tcp("a".to_owned(), 1);
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let entry = |from, to, host: Value, port| {
            Value::Array(vec![Value::Int(from), Value::Int(to), Value::Array(vec![host, Value::Int(port), bulk("id")])])
        };
        let answer = Value::Array(vec![
            entry(0, 9, bulk("10.0.0.1"), 6379),
            entry(10, 16_383, Value::Nil, 6380),
            entry(10, 10, bulk(""), 6381),
        ]);
        let at = |host: &str, port| Address::Tcp(host.to_owned(), port);
        let expected = vec![(0..=9, at("10.0.0.1", 6379)), (10..=16_383, at("a", 6380)), (10..=10, at("a", 6381))];
        assert_eq!(ranges(&answer, &asked).unwrap(), expected);
        assert_eq!(ranges(&Value::Array(Vec::new()), &asked), None);
        assert_eq!(ranges(&Value::Array(vec![entry(0, 70_000, bulk("b"), 1)]), &asked), None);
        assert_eq!(ranges(&Value::Okay, &asked), None);
        assert_eq!(redirected("10.0.0.1:7", &asked), Some(at("10.0.0.1", 7)));
        assert_eq!(redirected(":7", &asked), Some(at("a", 7)));
        assert_eq!(redirected("::1:7", &asked), Some(at("::1", 7)));
        assert_eq!(redirected("a", &asked), None);
    }
}
