//! What an error says together with what is behind it, which alone tells a refused certificate from a closed connection.

use std::error::Error;

/// An error and its causes in one line; what a cause only says again is left out.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}
