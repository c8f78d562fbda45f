//! `cargo xtask check`: what must pass before a change is merged, cheapest first.

use crate::build::{self, TARGET};
use crate::test;
use crate::workspace::{Workspace, finish, has_cargo, say};

/// Runs every check.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    say("format");
    finish(&mut workspace.cargo(["fmt", "--all", "--check"]))?;

    say("lints of everything that runs here");
    let mut clippy = workspace.cargo(["clippy", "--workspace", "--exclude", "portcullis-guests", "--all-targets"]);
    finish(clippy.args(["--", "-D", "warnings"]))?;

    say("lints of everything that runs in the sandbox");
    build::wasm_target(workspace)?;
    let mut clippy = workspace.cargo(["clippy", "--target", TARGET, "--package", "portcullis-sdk"]);
    for package in build::plugin_packages(workspace)? {
        clippy.args(["--package", &package]);
    }
    finish(clippy.args(["--", "-D", "warnings"]))?;
    let guests = ["clippy", "--target", TARGET, "--package", "portcullis-guests", "--examples", "--", "-D", "warnings"];
    finish(&mut workspace.cargo(guests))?;

    say("documentation");
    let mut doc = workspace.cargo(["doc", "--workspace", "--exclude", "portcullis-guests", "--no-deps"]);
    finish(doc.env("RUSTDOCFLAGS", "-D warnings"))?;

    if has_cargo(workspace, "deny") {
        say("dependencies: licences, advisories, sources");
        finish(&mut workspace.cargo(["deny", "check"]))?;
    } else {
        say("dependencies: SKIPPED, cargo-deny is not installed (cargo install cargo-deny)");
    }

    // House rules (file sizes, floors, words) are tests in xtask/src/house.
    test::test(workspace, &[])
}
