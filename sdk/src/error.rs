//! The error a hook gives back: a text for the operator's log, never for clients.

use std::fmt::{self, Debug, Display};

/// What a hook or `init` gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a hook could not do its work. Becomes the error string of the WIT hook, and so a line in the gateway's log.
///
/// Made by `?` or `into()` from everything that can be displayed: any [`std::error::Error`], a `String`, a `&str`. So that
/// this works it has no [`Display`] itself; [`Error::message`] gives the text.
pub struct Error(String);

impl Error {
    /// An error that says this.
    pub fn new(message: impl Display) -> Self {
        Self(message.to_string())
    }

    /// What went wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0
    }

    /// The same error with what was being done in front: `reading the key: not a PEM`.
    #[must_use]
    pub fn context(self, doing: impl Display) -> Self {
        Self(format!("{doing}: {}", self.0))
    }

    pub(crate) fn into_message(self) -> String {
        self.0
    }
}

impl<E: Display> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
