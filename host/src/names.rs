//! The names that several rooms share: of things a user configures, of hooks, of grants.
//!
//! A name that exists has been checked: code that holds a `Name` need not look at its characters again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a route, an upstream or a plugin: 1 to 64 of `a-z A-Z 0-9 _ - .`, starting with a letter or a digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Longest [`Name`], in bytes. It appears in metric labels and in `Server-Timing`, where length is paid for often.
pub const NAME_BYTES_MAX: usize = 64;

/// A text that is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a name: use 1 to 64 of a-z A-Z 0-9 _ - . and start with a letter or a digit")]
pub struct NotAName;

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let first = text.bytes().next().ok_or(NotAName)?;
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if text.len() > NAME_BYTES_MAX || !first.is_ascii_alphanumeric() || !text.bytes().all(inner) {
            return Err(NotAName);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The hooks of the contract that are called with an exchange or around an instance's life, in the order of `wit/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Hook {
    /// `describe`
    Describe,
    /// `init`
    Init,
    /// `pre-route`
    PreRoute,
    /// `pre-handler`
    PreHandler,
    /// `cache-key`
    CacheKey,
    /// `cache-admit`
    CacheAdmit,
    /// `post-handler`
    PostHandler,
    /// `post-response`
    PostResponse,
    /// `on-error`
    OnError,
    /// `destroy`
    Destroy,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 10] = [
        Self::Describe,
        Self::Init,
        Self::PreRoute,
        Self::PreHandler,
        Self::CacheKey,
        Self::CacheAdmit,
        Self::PostHandler,
        Self::PostResponse,
        Self::OnError,
        Self::Destroy,
    ];

    /// The name of its WIT interface and function.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Init => "init",
            Self::PreRoute => "pre-route",
            Self::PreHandler => "pre-handler",
            Self::CacheKey => "cache-key",
            Self::CacheAdmit => "cache-admit",
            Self::PostHandler => "post-handler",
            Self::PostResponse => "post-response",
            Self::OnError => "on-error",
            Self::Destroy => "destroy",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host capability that an operator can grant to a plugin: one WIT interface each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grant {
    /// `log`
    Log,
    /// `metrics`
    Metrics,
    /// `kv`
    Kv,
    /// `crypto`
    Crypto,
    /// `clock`
    Clock,
    /// `cache`
    Cache,
    /// `limits`
    Limits,
}

impl Grant {
    /// Every grant.
    pub const ALL: [Self; 7] =
        [Self::Log, Self::Metrics, Self::Kv, Self::Crypto, Self::Clock, Self::Cache, Self::Limits];

    /// What a plugin gets whose chain entry does not list grants, and one that no chain entry names: nothing that
    /// could keep or reveal a secret, or take something away from others.
    pub const DEFAULT: [Self; 3] = [Self::Log, Self::Metrics, Self::Clock];

    /// The name in the configuration and of the WIT interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Metrics => "metrics",
            Self::Kv => "kv",
            Self::Crypto => "crypto",
            Self::Clock => "clock",
            Self::Cache => "cache",
            Self::Limits => "limits",
        }
    }

    /// The grant of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == name)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let check = |text: &str, good: bool| assert_eq!(text.parse::<Name>().is_ok(), good, "{text:?}");
        for good in ["a", "jwt-auth", "v1.2_x", "9", &"x".repeat(64)] {
            check(good, true);
        }
        for bad in ["", "-a", ".a", "a b", "ä", "a/b", &"x".repeat(65)] {
            check(bad, false);
        }
    }

    #[test]
    fn hooks_are_numbered_as_listed() {
        for (index, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!(hook as usize, index);
        }
    }
}
