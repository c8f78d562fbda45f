//! Facts that plugins leave for later plugins, logs and limits, such as `auth.subject`.
//!
//! Few and short by contract, so a vector searched from the front beats a map.

/// Most attributes of one exchange. Facts, not a store: a plugin that needs more wants `kv`.
const COUNT_MAX: usize = 64;
/// Longest attribute name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Longest attribute value, in bytes. Values go into headers and log lines.
const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Why an attribute was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// The name is empty or not made of `a-z A-Z 0-9 _ - .`.
    #[error("not an attribute name")]
    Name,
    /// A name or value is too long, or there are too many.
    #[error("too many or too long attributes")]
    TooLarge,
}

/// The attributes of one exchange.
#[derive(Debug, Clone, Default)]
pub struct Attributes(Vec<(Box<str>, Box<str>)>);

impl Attributes {
    /// The value of an attribute.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }

    /// Sets an attribute, replacing its value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), AttributeError> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            return Err(AttributeError::Name);
        }
        if name.len() > NAME_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(AttributeError::TooLarge);
        }
        if let Some((_, old)) = self.0.iter_mut().find(|(known, _)| **known == *name) {
            *old = value.into();
        } else if self.0.len() < COUNT_MAX {
            self.0.push((name.into(), value.into()));
        } else {
            return Err(AttributeError::TooLarge);
        }
        Ok(())
    }

    /// All attributes in the order they were first set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn setting_replaces_and_limits_hold() {
        let mut attributes = Attributes::default();
        attributes.set("auth.subject", "a").unwrap();
        attributes.set("auth.subject", "b").unwrap();
        assert_eq!(attributes.find("auth.subject"), Some("b"));
        assert_eq!(attributes.set("", "x"), Err(AttributeError::Name));
        assert_eq!(attributes.set("a b", "x"), Err(AttributeError::Name));
        assert_eq!(attributes.set("big", &"x".repeat(VALUE_BYTES_MAX + 1)), Err(AttributeError::TooLarge));
        for index in 1..COUNT_MAX {
            attributes.set(&format!("n{index}"), "x").unwrap();
        }
        assert_eq!(attributes.set("one-more", "x"), Err(AttributeError::TooLarge));
        attributes.set("auth.subject", "still replaced").unwrap();
        assert_eq!(attributes.iter().count(), COUNT_MAX);
    }
}
