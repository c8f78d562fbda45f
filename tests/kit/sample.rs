//! Values for JSON Schemas, right ones and wrong ones, the same for the same seed.

use serde_json::{Map, Value, json};

/// Numbers that look random and are the same every time (xorshift64*).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that begin here.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % count.max(1)
    }

    /// One of these.
    pub fn one_of<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A value that fits a schema: of what may be left out, all or nothing.
pub fn fitting(schema: &Value, whole: bool) -> Value {
    if let Some(value) = schema.get("const").or_else(|| schema["examples"].get(0)).or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str().unwrap_or("object").to_owned(),
        kind => kind.as_str().unwrap_or("object").to_owned(),
    };
    match kind.as_str() {
        "string" => {
            let least = schema["minLength"].as_u64().unwrap_or(1) as usize;
            "x".repeat(least.max(1)).into()
        }
        "integer" | "number" => schema["minimum"].as_i64().unwrap_or(1).into(),
        "boolean" => true.into(),
        "array" => json!([fitting(&schema["items"], whole)]),
        "null" => Value::Null,
        _ => {
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mut object = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if whole || required.contains(&name.as_str()) {
                    object.insert(name.clone(), fitting(schema, whole));
                }
            }
            object.into()
        }
    }
}

/// JSON texts that hardly anything wants.
pub fn odd_text(dice: &mut Dice) -> Vec<u8> {
    let odd: [&[u8]; 16] = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\"\"",
        b"-0",
        b"1e400",
        b"123456789012345678901234567890",
        b"{\"a\":",
        b"{\"a\":1}}",
        b"\xff\xfe",
        b"{\"\\ud800\":1}",
        b"{\"mode\":{\"mode\":[]}}",
        b"\xef\xbb\xbf{}",
        b"nul",
        b"{\"__proto__\":{\"a\":1}}",
    ];
    match dice.below(20) {
        0 => b"[".repeat(100_000),
        1 => [b"{\"a\":".repeat(200), b"1".to_vec(), b"}".repeat(200)].concat(),
        2 => vec![b' '; 1024 * 1024 + 1],
        3 => format!("{{\"url\":\"{}\"}}", "%".repeat(5000)).into_bytes(),
        _ => dice.one_of(&odd).to_vec(),
    }
}

/// A value of any sort.
pub fn odd_value(dice: &mut Dice) -> Value {
    match dice.below(14) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(1e308),
        4 => json!(0.5),
        5 => json!(""),
        6 => json!("x".repeat(10_000)),
        7 => json!("\u{0}\u{202e}\u{1f600}"),
        8 => json!([]),
        9 => json!({}),
        10 => (0..60).fold(json!(1), |inner, _| json!([inner])),
        11 => json!([[], {}, null, true]),
        12 => json!("../../etc/passwd"),
        _ => json!(false),
    }
}

/// A value like this with something wrong in it, perhaps.
pub fn spoilt(value: &Value, dice: &mut Dice) -> Value {
    match value {
        Value::Object(map) if !map.is_empty() && !dice.once_in(4) => {
            let mut map = map.clone();
            let keys: Vec<String> = map.keys().cloned().collect();
            let key = dice.one_of(&keys).clone();
            match dice.below(4) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(format!("{key}x"), odd_value(dice))),
                2 => drop(map.insert(key, odd_value(dice))),
                _ => {
                    let inner = spoilt(&map[&key], dice);
                    map.insert(key, inner);
                }
            }
            map.into()
        }
        Value::Array(items) if !items.is_empty() && !dice.once_in(3) => {
            let mut items = items.clone();
            let index = dice.below(items.len());
            items[index] = spoilt(&items[index], dice);
            items.into()
        }
        _ => odd_value(dice),
    }
}
