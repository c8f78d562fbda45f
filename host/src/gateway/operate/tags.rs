//! Entity tags: which document, and which plugin files, somebody has seen.
//!
//! Keyed, since documents hold secrets: who may see a tag but not the secrets must not be able to try them out against it. The key lies in
//! the state folder, so that tags outlive a restart; where it cannot be kept, they do not.

use std::fmt;
use std::fs;
use std::path::Path;

use aws_lc_rs::hmac;
use serde_json::Value;

use super::disk::{self, Staged};

/// The file of the key.
const FILE: &str = "tag-key";
/// Its length in bytes: that of the hash.
const KEY_BYTES: usize = 32;
/// Digits of a tag: 128 bits.
const DIGITS: usize = 32;

/// Makes entity tags.
pub(super) struct Tags(hmac::Key);

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tags(..)")
    }
}

impl Tags {
    /// With the key of this folder, which is made if there is none.
    pub(super) fn kept(state: &Path) -> Self {
        let path = state.join(FILE);
        let known = fs::read(&path).ok().filter(|key| key.len() == KEY_BYTES);
        known.map_or_else(
            || {
                let (tags, key) = Self::random();
                let kept = disk::private_folder(state).and_then(|()| Staged::new(&path, &key)?.commit());
                if let Err(error) = kept {
                    tracing::debug!(path = %path.display(), %error, "entity tags are others after a restart");
                }
                tags
            },
            |key| Self(hmac::Key::new(hmac::HMAC_SHA256, &key)),
        )
    }

    /// With a key for as long as this process lives.
    pub(super) fn passing() -> Self {
        Self::random().0
    }

    fn random() -> (Self, [u8; KEY_BYTES]) {
        let mut key = [0; KEY_BYTES];
        // Without random numbers tags still tell documents apart.
        let _ = aws_lc_rs::rand::fill(&mut key);
        (Self(hmac::Key::new(hmac::HMAC_SHA256, &key)), key)
    }

    /// The tag of a document, without quotes: the same for all ways to write it.
    pub(super) fn of(&self, document: &Value) -> String {
        self.digits(canonical(document).to_string().as_bytes())
    }

    /// The tag of a document together with plugin files, each with what it holds.
    pub(super) fn with_files(&self, document: &Value, files: &[(String, String)]) -> String {
        let tag = self.of(document);
        if files.is_empty() {
            return tag;
        }
        let lines: String = files.iter().map(|(name, holds)| format!("\n{name} {holds}")).collect();
        self.digits(format!("{tag}{lines}").as_bytes())
    }

    fn digits(&self, bytes: &[u8]) -> String {
        let mut digits: String = hmac::sign(&self.0, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        digits.truncate(DIGITS);
        digits
    }
}

/// With sorted keys.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_unstable_by_key(|(key, _)| *key);
            Value::Object(keys.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_is_of_the_document_and_not_of_how_it_is_written() {
        let tags = Tags::passing();
        let one = tags.of(&json!({ "a": 1, "b": [{ "c": 1, "d": 2 }] }));
        assert_eq!((&one, one.len()), (&tags.of(&json!({ "b": [{ "d": 2, "c": 1 }], "a": 1 })), 32));
        assert_ne!(tags.of(&json!([1, 2])), tags.of(&json!([2, 1])));
        let with = |holds: &str| tags.with_files(&json!({}), &[("a".to_owned(), holds.to_owned())]);
        assert_ne!(with("1"), with("2"), "of two uploads one wins");
        assert_eq!(tags.with_files(&json!({}), &[]), tags.of(&json!({})));
    }

    #[test]
    fn nobody_tries_secrets_out_against_a_tag() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let document = json!({ "redis": { "password": "hunter2" } });
        let tag = |folder: &tempfile::TempDir| Tags::kept(&folder.path().join("state")).of(&document);
        assert_eq!(tag(&one), tag(&one), "also after a restart");
        assert_ne!(tag(&one), tag(&other));
        let path = one.path().join("state").join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // Half a key is none, and nothing fails where none can be kept.
        fs::write(&path, "short").unwrap();
        assert_eq!(tag(&one), tag(&one));
        Tags::kept(&path).of(&document);
    }
}
