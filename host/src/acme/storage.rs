//! The folder of account and certificates: `STORAGE/CA/account.json`, and per host `HOST.pem`, `HOST.ocsp` and `HOST.failures`.
//!
//! Only our user may read it. A file is replaced in one step and is on the disk when that is told, so that a power cut leaves the old
//! one or the new one. Key and chain are one file, so that they always belong together.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use instant_acme::AccountCredentials;
use serde_json::{Value, json};

/// The account's file.
const ACCOUNT: &str = "account.json";

/// What is kept of one CA.
#[derive(Debug)]
pub(super) struct Storage {
    folder: PathBuf,
}

/// How often a host has failed in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// How often.
    pub(super) count: u32,
    /// Unix time before which it is not tried again.
    pub(super) wait_until: Duration,
}

impl Storage {
    /// Opens the part of `storage` that belongs to a CA; makes it where it is missing. Each CA has its own, so that trying things
    /// out with another one leaves the real certificates alone.
    pub(super) fn open(storage: &Path, directory: &str) -> io::Result<Self> {
        let folder = storage.join(folder_name(directory));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // Where it was made by somebody less careful.
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        Ok(Self { folder })
    }

    /// The account, if there is one that can be read.
    pub(super) fn account(&self) -> Option<AccountCredentials> {
        let bytes = self.read(ACCOUNT)?;
        let read = serde_json::from_slice(&bytes);
        read.inspect_err(|error| tracing::warn!(path = %self.path(ACCOUNT), %error, "not an ACME account")).ok()
    }

    /// Keeps the account.
    pub(super) fn put_account(&self, account: &AccountCredentials) -> io::Result<()> {
        self.write(ACCOUNT, &serde_json::to_vec_pretty(account)?)
    }

    /// Forgets the account, which the CA does not know any more.
    pub(super) fn forget_account(&self) {
        let _ = fs::remove_file(self.folder.join(ACCOUNT));
    }

    /// Key and chain of a host, if there are any.
    pub(super) fn certificate(&self, host: &str) -> Option<Vec<u8>> {
        self.read(&format!("{host}.pem"))
    }

    /// Keeps key and chain of a host.
    pub(super) fn put_certificate(&self, host: &str, pem: &str) -> io::Result<()> {
        self.write(&format!("{host}.pem"), pem.as_bytes())
    }

    /// What the responder said last of a host's certificate.
    pub(super) fn staple(&self, host: &str) -> Option<Vec<u8>> {
        self.read(&format!("{host}.ocsp"))
    }

    /// Keeps what the responder said.
    pub(super) fn put_staple(&self, host: &str, der: &[u8]) -> io::Result<()> {
        self.write(&format!("{host}.ocsp"), der)
    }

    /// What is known of failures.
    pub(super) fn failures(&self, host: &str) -> Failures {
        let read = self.read(&format!("{host}.failures"));
        let Some(value) = read.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else {
            return Failures::default();
        };
        let number = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
        Failures {
            count: u32::try_from(number("failures")).unwrap_or(u32::MAX),
            wait_until: Duration::from_secs(number("wait_until")),
        }
    }

    /// Keeps what is known of failures, and gives the file.
    pub(super) fn put_failures(&self, host: &str, failures: Failures) -> io::Result<PathBuf> {
        let name = format!("{host}.failures");
        let value = json!({ "failures": failures.count, "wait_until": failures.wait_until.as_secs() });
        self.write(&name, value.to_string().as_bytes())?;
        Ok(self.folder.join(name))
    }

    /// Forgets what is known of failures.
    pub(super) fn forget_failures(&self, host: &str) {
        let _ = fs::remove_file(self.folder.join(format!("{host}.failures")));
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %self.path(name), %error, "cannot read what was kept");
                None
            }
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let aside = self.folder.join(format!(".{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        // The mode above counts only for a file that was not there.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, self.folder.join(name))?;
        // The name is kept by the folder, which has to reach the disk as well.
        File::open(&self.folder)?.sync_all()
    }
}

/// A directory's URL as the name of a folder, such as `acme-v02.api.letsencrypt.org_directory`.
fn folder_name(directory: &str) -> String {
    let rest = directory.strip_prefix("https://").unwrap_or(directory);
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    // File systems allow 255 bytes.
    let name: String = rest.chars().map(allowed).take(200).collect();
    name.trim_start_matches('.').trim_end_matches('_').to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_are_for_us_alone() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::open(&root.path().join("deep/acme"), "https://ca.example:14000/dir").unwrap();
        let folder = root.path().join("deep/acme/ca.example_14000_dir");
        assert_eq!((mode(&folder), mode(&root.path().join("deep/acme"))), (0o700, 0o700));
        let path = folder.join("a.example.pem");
        // Also where something readable lies in the way.
        fs::write(folder.join(".a.example.pem.new"), "old").unwrap();
        fs::set_permissions(folder.join(".a.example.pem.new"), Permissions::from_mode(0o644)).unwrap();
        storage.put_certificate("a.example", "pem").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(storage.certificate("a.example").unwrap(), b"pem");
        assert!(!folder.join(".a.example.pem.new").exists());
        assert!(storage.certificate("b.example").is_none());
    }

    #[test]
    fn failures_outlive_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let open = || Storage::open(root.path(), "https://ca.example/dir").unwrap();
        assert_eq!(open().failures("a.example"), Failures::default());
        let failures = Failures { count: 3, wait_until: Duration::from_secs(1_800_000_000) };
        let path = open().put_failures("a.example", failures).unwrap();
        assert_eq!(open().failures("a.example"), failures);
        fs::write(&path, "damaged").unwrap();
        assert_eq!(open().failures("a.example"), Failures::default());
        open().put_failures("a.example", failures).unwrap();
        open().forget_failures("a.example");
        assert_eq!(open().failures("a.example"), Failures::default());
    }

    #[test]
    fn a_url_is_a_plain_folder() {
        assert_eq!(
            folder_name("https://acme-v02.api.letsencrypt.org/directory"),
            "acme-v02.api.letsencrypt.org_directory"
        );
        assert_eq!(folder_name("https://../../etc/"), "_.._etc");
    }
}
