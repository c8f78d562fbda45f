//! The names by which components import and export the contract: `portcullis:plugin/<interface>@<version>`.

use semver::Version;

/// The contract's package.
const PACKAGE: &str = "portcullis:plugin/";

/// The contract's version, as in `wit/`.
pub const CONTRACT: Version = Version::new(0, 1, 0);

/// An import or export of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface<'a> {
    pub(super) interface: &'a str,
    /// None where it was written without a version or with one that is none.
    pub(super) version: Option<Version>,
}

impl Interface<'_> {
    /// Whether it was built for a contract that this gateway speaks: the same minor version, not a later patch (before
    /// 1.0 a minor version may break, and a later patch may have more than we have).
    pub(super) fn is_spoken(&self) -> bool {
        self.version.as_ref().is_some_and(|version| {
            version.major == CONTRACT.major && version.minor == CONTRACT.minor && *version <= CONTRACT
        })
    }
}

/// Takes apart a name that belongs to the contract's package; none for any other.
pub(super) fn parse(name: &str) -> Option<Interface<'_>> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(match rest.split_once('@') {
        Some((interface, version)) => Interface { interface, version: version.parse().ok() },
        None => Interface { interface: rest, version: None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        let check = |name: &str, expected: Option<bool>| {
            assert_eq!(parse(name).map(|interface| interface.is_spoken()), expected, "{name}");
        };
        check("portcullis:plugin/init@0.1.0", Some(true));
        check("portcullis:plugin/init@0.1.9", Some(false));
        check("portcullis:plugin/init@0.2.0", Some(false));
        check("portcullis:plugin/init@1.1.0", Some(false));
        check("portcullis:plugin/init", Some(false));
        check("wasi:io/streams@0.2.0", None);
    }
}
