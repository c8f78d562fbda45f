//! Who may pass, and whose password was right not long ago.
//!
//! Border: hashes are imported by a function that comes in, so that all of this is tested without a gateway.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_sdk::{Error, Result, list};

use crate::attempts::weight;

/// Most passwords that are remembered. An instance lives on, so that this must have an end.
const REMEMBERED_MAX: usize = 1024;

/// A user.
#[derive(Debug)]
pub(crate) struct User<P> {
    pub(crate) name: String,
    pub(crate) password: P,
    /// How many times as long as usual trying it takes.
    pub(crate) weight: u32,
    /// As one list ([`portcullis_sdk::list`]).
    pub(crate) roles: String,
}

/// The users by name.
#[derive(Debug)]
pub(crate) struct Users<P>(BTreeMap<Vec<u8>, User<P>>);

impl<P> Default for Users<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P> Users<P> {
    pub(crate) fn add(
        &mut self,
        name: &str,
        stored: &str,
        roles: &[String],
        import: impl Fn(&str) -> Result<P, String>,
    ) -> Result<()> {
        let wrong = |what: &str| Error::new(format_args!("the user {name:?}: {what}"));
        if name.contains(':') || name.chars().any(char::is_control) {
            return Err(wrong("a name holds no colon and no control characters (RFC 7617 section 2)"));
        }
        let password = import(stored).map_err(|what| wrong(&format!("`password` is {what}")))?;
        let user = User { name: name.to_owned(), password, weight: weight(stored), roles: list::joined(roles) };
        match self.0.insert(name.as_bytes().to_vec(), user) {
            None => Ok(()),
            Some(_) => Err(wrong("stands twice")),
        }
    }

    /// Adds the users of a file: `name:hash`, one a line; empty lines and those that begin with `#` are left out.
    pub(crate) fn add_file(&mut self, text: &str, import: impl Fn(&str) -> Result<P, String>) -> Result<()> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = || format!("`htpasswd`, line {}", index + 1);
            let (name, stored) =
                line.split_once(':').ok_or_else(|| Error::new(format_args!("{}: not `name:hash`", place())))?;
            self.add(name, stored, &[], &import).map_err(|error| error.context(place()))?;
        }
        Ok(())
    }

    pub(crate) fn any(&self) -> Option<&User<P>> {
        self.0.values().next()
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<&User<P>> {
        self.0.get(name)
    }
}

/// Keyed digests of names with their passwords that were right.
#[derive(Debug, Default)]
pub(crate) struct Remembered(BTreeSet<Vec<u8>>);

impl Remembered {
    pub(crate) fn has(&self, digest: &[u8]) -> bool {
        self.0.contains(digest)
    }

    /// Forgets one. Whether it was there.
    pub(crate) fn remove(&mut self, digest: &[u8]) -> bool {
        self.0.remove(digest)
    }

    /// Remembers one more. Where there is no room, the next in order is forgotten: digests are in no order that anybody could choose.
    pub(crate) fn add(&mut self, digest: Vec<u8>) {
        if self.0.len() >= REMEMBERED_MAX {
            let next = self.0.range(digest.clone()..).next().or(self.0.first()).cloned();
            next.map(|next| self.0.remove(&next));
        }
        self.0.insert(digest);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn import(stored: &str) -> Result<String, String> {
        if stored.starts_with('$') { Ok(stored.to_owned()) } else { Err("no hash".to_owned()) }
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let mut users = Users::default();
        users.add_file("# users\n\nalice:$1\r\n  bob:$2:x\n", import).unwrap();
        users.add("carol", "$3", &["a".into(), "Team admin".into()], import).unwrap();
        assert_eq!(users.find(b"alice").unwrap().password, "$1");
        assert_eq!(users.find(b"bob").unwrap().password, "$2:x");
        assert_eq!(users.find(b"carol").unwrap().roles, "a,Team%20admin");
        assert!(users.find(b"dave").is_none() && users.find(b"").is_none());
        let mut why = |text: &str| users.add_file(text, import).unwrap_err().message().to_owned();
        assert_eq!(why("\nx"), "`htpasswd`, line 2: not `name:hash`");
        assert_eq!(why("x:plain"), "`htpasswd`, line 1: the user \"x\": `password` is no hash");
        assert_eq!(why("alice:$9"), "`htpasswd`, line 1: the user \"alice\": stands twice");
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut remembered = Remembered::default();
        for number in 0..2 * REMEMBERED_MAX {
            remembered.add(number.to_be_bytes().to_vec());
            assert!(remembered.has(&number.to_be_bytes()));
        }
        assert_eq!(remembered.0.len(), REMEMBERED_MAX);
    }
}
