//! `portcullis hash`: what configurations keep instead of passwords and keys.
//!
//! Secrets come on standard input, never on the command line, where every other process could read them.

use std::io::{self, BufRead as _};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;

use crate::plugin::crypto::{self, Hash, Password};

/// Length of a new key in bytes: as much as SHA-256 keeps.
const KEY_BYTES: u32 = 32;

#[derive(Debug, Subcommand)]
pub(super) enum HashCommand {
    /// Read a password from standard input and print its bcrypt hash, for `basic-auth`.
    Password,
    /// Make a random key and print it with its SHA-256, for `api-key` and the tokens of the admin API.
    Key {
        /// Read the key from standard input instead of making one.
        #[arg(long)]
        stdin: bool,
    },
}

pub(super) fn hash(command: HashCommand) -> anyhow::Result<()> {
    match command {
        HashCommand::Password => {
            let hash = Password::hash(line()?.as_bytes())?;
            super::print(&format!("{hash}\n"))
        }
        HashCommand::Key { stdin: true } => super::print(&format!("sha256: {}\n", sha256(&line()?))),
        HashCommand::Key { stdin: false } => {
            let key = crypto::random(KEY_BYTES).context("the system gives no randomness")?;
            let key = URL_SAFE_NO_PAD.encode(key);
            super::print(&format!("key: {key}\nsha256: {}\n", sha256(&key)))
        }
    }
}

/// One line of standard input, without its end.
fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read standard input")?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        bail!("standard input is empty; write the secret to it: printf %s SECRET | portcullis hash …");
    }
    Ok(line.to_owned())
}

fn sha256(text: &str) -> String {
    crypto::digest(Hash::Sha256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
