//! `cargo xtask test` and `cargo xtask bench`: everything that is built first, then the runner.
//!
//! The runner's own closing lines are the last ones printed, so that people and machines read the result from it.

use std::process::Command;

use crate::build;
use crate::debian;
use crate::workspace::{Workspace, finish, has_cargo, say};

/// Guests are WebAssembly only; they are built for that target above and have no tests of their own.
const NOT_FOR_THE_HOST: [&str; 2] = ["--exclude", "portcullis-guests"];

/// What tests run beside the gateway: a real CA for automatic certificates, what answers for one about its certificates, a browser, and
/// Redis. The services that Debian may start with them are left alone: tests use processes and ports of their own.
const DEBIAN_PACKAGES: [&str; 6] = ["pebble", "openssl", "chromium", "redis-server", "redis-sentinel", "prometheus"];

/// Runs every test, or those whose names contain one of the filters.
pub(crate) fn test(workspace: &Workspace, filters: &[String]) -> anyhow::Result<()> {
    debian::install(&DEBIAN_PACKAGES)?;
    build::plugins(workspace)?;
    build::guests(workspace)?;
    say("building the gateway that the end-to-end tests start");
    finish(&mut workspace.cargo(["build", "--package", "portcullis", "--bin", "portcullis"]))?;

    if !has_cargo(workspace, "nextest") {
        say("running the tests with cargo test (with cargo-nextest they run faster)");
        let mut cargo = workspace.cargo(["test", "--workspace"]);
        cargo.args(NOT_FOR_THE_HOST).arg("--").args(filters);
        return finish(with_artefacts(workspace, &mut cargo));
    }
    if filters.is_empty() {
        say("running the examples in the documentation");
        let mut cargo = workspace.cargo(["test", "--doc", "--workspace"]);
        cargo.args(NOT_FOR_THE_HOST);
        finish(with_artefacts(workspace, &mut cargo))?;
    }
    say("running the tests");
    let mut cargo = workspace.cargo(["nextest", "run", "--workspace"]);
    cargo.args(NOT_FOR_THE_HOST).args(filters);
    finish(with_artefacts(workspace, &mut cargo))
}

/// Runs the benches.
pub(crate) fn bench(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    build::plugins(workspace)?;
    build::guests(workspace)?;
    say("running the benches (the comparison with other gateways is described in benches/README.md)");
    let mut cargo = workspace.cargo(["bench", "--package", "portcullis-benches"]);
    cargo.args(arguments);
    finish(with_artefacts(workspace, &mut cargo))
}

/// Tells tests where the built files are.
fn with_artefacts<'a>(workspace: &Workspace, command: &'a mut Command) -> &'a mut Command {
    command
        .env("PORTCULLIS_TEST_ARTEFACTS", build::components(workspace))
        .env("PORTCULLIS_BIN", workspace.artefact(&format!("debug/portcullis{}", std::env::consts::EXE_SUFFIX)))
}
