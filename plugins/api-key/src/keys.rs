//! The keys that are known, by their SHA-256. Pure.
//!
//! Invariant: how long looking takes depends on the first byte of a digest alone, which nobody can choose without knowing a key that has it.

use portcullis_sdk::{Error, Result};

/// Length of a digest in bytes.
const LENGTH: usize = 32;

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    /// As one list ([`portcullis_sdk::list`]).
    pub(crate) roles: String,
}

/// The keys that are known.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// By the first byte of the digest, once there are any.
    shelves: Vec<Vec<([u8; LENGTH], Known)>>,
}

impl Keys {
    pub(crate) fn add(&mut self, sha256: &str, known: Known) -> Result<()> {
        let wrong = |what: &str| Error::new(format_args!("the key {:?}: {what}", known.name));
        let digest = digest(sha256).ok_or_else(|| wrong("`sha256` must be 64 hexadecimal digits"))?;
        if known.roles.chars().chain(known.name.chars()).any(char::is_control) {
            return Err(wrong("its name and roles must hold no control characters"));
        }
        if let Some(other) = self.find(&digest) {
            return Err(wrong(&format!("it has the same key as {:?}", other.name)));
        }
        self.shelves.resize_with(256, Vec::new);
        if let Some(shelf) = self.shelves.get_mut(usize::from(digest[0])) {
            shelf.push((digest, known));
        }
        Ok(())
    }

    pub(crate) fn find(&self, digest: &[u8]) -> Option<&Known> {
        let shelf = self.shelves.get(usize::from(*digest.first()?))?;
        let mut found = None;
        for (known, whose) in shelf {
            let different = known.iter().zip(digest).fold(0, |different, (one, other)| different | (one ^ other));
            // Goes on to the end, so that the place of a key on its shelf does not show either.
            if std::hint::black_box(different) == 0 && digest.len() == LENGTH {
                found = Some(whose);
            }
        }
        found
    }
}

fn digest(text: &str) -> Option<[u8; LENGTH]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 2 * LENGTH { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn known(name: &str) -> Known {
        Known { name: name.to_owned(), roles: String::new() }
    }

    #[test]
    fn only_a_whole_digest_is_found() {
        let mut keys = Keys::default();
        assert_eq!(keys.find(&[1; 32]), None);
        keys.add(&"01".repeat(32), known("a")).unwrap();
        keys.add(&format!("{}02", "01".repeat(31)), known("b")).unwrap();
        assert_eq!(keys.find(&[1; 32]).unwrap().name, "a");
        let mut other = [1; 32];
        other[31] = 2;
        assert_eq!(keys.find(&other).unwrap().name, "b");
        other[31] = 3;
        assert_eq!(
            (keys.find(&other), keys.find(&[1; 31]), keys.find(&[1; 33]), keys.find(&[])),
            (None, None, None, None)
        );
    }

    #[test]
    fn what_is_no_digest_or_stands_twice_is_refused() {
        let mut keys = Keys::default();
        keys.add(&"AB".repeat(32), known("a")).unwrap();
        let mut why = |sha256: &str, name: &str| keys.add(sha256, known(name)).unwrap_err().message().to_owned();
        assert!(why(&"ab".repeat(32), "b").contains("same key as \"a\""));
        assert!(why(&"ab".repeat(31), "b").contains("64 hexadecimal"));
        assert!(why(&"zz".repeat(32), "b").contains("64 hexadecimal"));
        assert!(why(&"cd".repeat(32), "b\n").contains("control"));
    }
}
