//! `cargo xtask run`: from a fresh clone to a running gateway.
//!
//! In the end this process becomes the gateway, so that signals and the exit code are the gateway's own.

use std::process::Command;

use anyhow::Context;

use crate::build;
use crate::workspace::{Workspace, finish, say};

/// Builds plugins and gateway and starts it.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    build::plugins(workspace)?;
    say("building the gateway (the first time takes a few minutes)");
    finish(&mut workspace.cargo(["build", "--release", "--package", "portcullis", "--bin", "portcullis"]))?;

    let folder = workspace.path("config/plugins");
    let mut gateway = Command::new(workspace.artefact("release/portcullis"));
    gateway.arg("run");
    // The demo origin belongs to the default configuration; somebody's own names upstreams of its own.
    if !arguments.iter().any(|word| word == "--config" || word.starts_with("--config=")) {
        gateway.arg("--config").arg(workspace.path("config/portcullis.json"));
        if !arguments.iter().any(|word| word == "--demo") {
            gateway.arg("--demo");
        }
    }
    gateway.args(arguments);
    let hello = build::components(workspace).join("hello.wasm");
    say(&format!("starting the gateway; a plugin to drop in: cp {} {}", hello.display(), folder.display()));
    become_process(gateway)
}

#[cfg(unix)]
fn become_process(mut command: Command) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;
    // Only comes back where it failed.
    Err(command.exec()).context("cannot start the gateway")
}

#[cfg(not(unix))]
fn become_process(mut command: Command) -> anyhow::Result<()> {
    finish(&mut command).context("cannot start the gateway")
}
