//! Passwords as they are kept: hashes that are slow to try, within what a call may take.
//!
//! Border: no clock and no randomness but for the salt of a new hash. Invariant: neither a password nor an error shows what was stored.

use std::fmt;

/// What new hashes cost: 2^10 rounds, about a twentieth of a second.
const COST: u32 = 10;
/// Highest cost that is taken: 2^12 rounds take about a quarter of a second.
const COST_MAX: u32 = 12;

/// A stored password, as `htpasswd -B` writes it.
pub struct Password(Box<str>);

/// Why a stored password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Another kind of hash, or none at all.
    #[error("not a hash of bcrypt (`$2b$…`); `portcullis hash password` or `htpasswd -B` makes one")]
    Kind,
    /// Its parts are not what the kind wants.
    #[error("a hash that is not complete or not well-formed; `portcullis hash password` or `htpasswd -B` makes one")]
    Form,
    /// Verifying it would take too long.
    #[error("a hash of a cost above 12, which takes a worker too long; `portcullis hash password` makes one")]
    Cost,
    /// bcrypt looks at no more than 72 bytes, and not behind a zero.
    #[error("a password longer than 72 bytes or with a zero byte, of which bcrypt would see only a part")]
    Long,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// Takes a stored hash.
    pub fn import(stored: &str) -> Result<Self, PasswordError> {
        let stored = stored.trim();
        let rest = ["$2a$", "$2b$", "$2y$", "$2x$"].iter().find_map(|prefix| stored.strip_prefix(prefix));
        let cost = rest.ok_or(PasswordError::Kind)?.split('$').next().and_then(|cost| cost.parse::<u32>().ok());
        if cost.ok_or(PasswordError::Form)? > COST_MAX {
            return Err(PasswordError::Cost);
        }
        stored.parse::<bcrypt::HashParts>().map_err(|_| PasswordError::Form)?;
        Ok(Self(stored.into()))
    }

    /// Whether `given` is it. Compares in constant time; takes as long as the hash was meant to take.
    pub fn verify(&self, given: &[u8]) -> bool {
        // What bcrypt would see only a part of cannot have been hashed here.
        bcrypt::non_truncating_verify(given, &self.0).unwrap_or(false)
    }

    /// Whether both are kept as the same hash.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// A new hash of a password.
    pub fn hash(password: &[u8]) -> Result<String, PasswordError> {
        if password.contains(&0) {
            return Err(PasswordError::Long);
        }
        let salt = super::random(16).and_then(|salt| salt.try_into().ok()).ok_or(PasswordError::Randomness)?;
        let parts = bcrypt::non_truncating_hash_with_salt(password, COST, salt).map_err(|_| PasswordError::Long)?;
        Ok(parts.format_for_version(bcrypt::Version::TwoB))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_hashed_is_recognised_and_nothing_else() {
        let stored = Password::hash(b"open sesame").unwrap();
        assert!(stored.starts_with("$2b$10$"), "{stored}");
        assert_ne!(stored, Password::hash(b"open sesame").unwrap());
        let password = Password::import(&stored).unwrap();
        assert!(password.verify(b"open sesame"));
        assert!(!password.verify(b"open sesame ") && !password.verify(b"") && !password.verify(&[b'a'; 4096]));
        assert_eq!(format!("{password:?}"), "Password");
        assert_eq!(Password::hash(&[b'a'; 73]), Err(PasswordError::Long));
        assert_eq!(Password::hash(b"a\0b"), Err(PasswordError::Long));
        // `htpasswd -nbB -C 5 u open`
        let made = "$2y$05$T9Cyr3uaIzzSNtLMoEqGreEh25aKCR7HsLRLpfqhZR2JBzPqtV8nO";
        assert!(Password::import(made).is_ok());
    }

    #[test]
    fn what_is_no_hash_or_too_slow_is_refused() {
        let check = |stored: &str, expected| assert_eq!(Password::import(stored).err(), Some(expected), "{stored}");
        check("", PasswordError::Kind);
        check("secret", PasswordError::Kind);
        check("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", PasswordError::Kind);
        check("$apr1$x$y", PasswordError::Kind);
        check("$2b$10$short", PasswordError::Form);
        check("$2b$x$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", PasswordError::Form);
        check("$2b$13$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", PasswordError::Cost);
    }
}
