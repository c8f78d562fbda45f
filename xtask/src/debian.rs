//! Programs that tests run and that are not built here: they come from the Debian archive.
//!
//! Nothing is done where they are installed already, so that no rights and no network are needed then.

use std::process::{Command, Stdio};

use crate::workspace::{finish, say};

/// Installs what is missing.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<_> = packages.iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say("installing what the tests run beside the gateway");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    finish(&mut apt(&["update"]))?;
    finish(apt(&["install", "--yes", "--no-install-recommends"]).args(missing))
}

/// Where there is no dpkg nothing is installed, and apt-get will say so.
fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]).stderr(Stdio::null());
    query.output().is_ok_and(|output| output.stdout == b"installed")
}
