//! Builds what is made of WebAssembly: the plugins that come with the gateway and the guests of the tests.
//!
//! A new folder under `plugins/` is a new plugin; nothing here has to be told. Files in `config/plugins` are replaced
//! by rename and only where they differ, because a running gateway watches them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::workspace::{Workspace, finish, say};

/// The target that every component is built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";
/// The cargo profile of every component, in the workspace's `Cargo.toml`.
pub(crate) const PROFILE: &str = "plugin";
/// Plugins that are built but not put into the folder: something to drop in while the gateway runs.
const EXAMPLES: [&str; 1] = ["hello"];
/// The package with one tiny plugin per behaviour.
const GUESTS: &str = "portcullis-guests";

/// Makes sure that the compiler can build components.
pub(crate) fn wasm_target(workspace: &Workspace) -> anyhow::Result<()> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(workspace.path("")).stderr(Stdio::null());
    let output = rustc.output().context("cannot run rustc")?;
    let folder = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    say(&format!("adding the Rust target {TARGET}"));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(workspace.path(""));
    finish(&mut rustup).with_context(|| {
        format!("plugins need the Rust target {TARGET}: install it with rustup or your distribution's package")
    })
}

/// Builds the plugins and puts them into `config/plugins`.
pub(crate) fn plugins(workspace: &Workspace) -> anyhow::Result<()> {
    wasm_target(workspace)?;
    let packages = plugin_packages(workspace)?;
    say(&format!("building the plugins {} for {TARGET}", packages.join(", ")));
    let mut cargo = workspace.cargo(["build", "--target", TARGET, "--profile", PROFILE]);
    for package in &packages {
        cargo.args(["--package", package]);
    }
    finish(&mut cargo)?;

    let folder = workspace.path("config/plugins");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for package in packages.iter().filter(|package| !EXAMPLES.contains(&package.as_str())) {
        let built = components(workspace).join(format!("{}.wasm", package.replace('-', "_")));
        if replace(&built, &folder, &format!("{package}.wasm"))? {
            eprintln!("    {package}.wasm is new in config/plugins");
        }
    }
    Ok(())
}

/// Builds the guests of the tests, where there are any.
pub(crate) fn guests(workspace: &Workspace) -> anyhow::Result<()> {
    wasm_target(workspace)?;
    say(&format!("building the guests of the tests for {TARGET}"));
    finish(&mut workspace.cargo(["build", "--package", GUESTS, "--examples", "--target", TARGET, "--profile", PROFILE]))
}

/// The folder with the built components; those of the guests are in its `examples`.
pub(crate) fn components(workspace: &Workspace) -> PathBuf {
    workspace.artefact(&format!("{TARGET}/{PROFILE}"))
}

/// The packages in `plugins/`, sorted. A package is named like its folder.
pub(crate) fn plugin_packages(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let folder = workspace.path("plugins");
    let mut packages = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            packages.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    packages.sort();
    if packages.is_empty() {
        bail!("there is no plugin in {}", folder.display());
    }
    Ok(packages)
}

/// Puts a copy of `from` into `folder` as `name`, at once and only where it differs. True where it did.
fn replace(from: &Path, folder: &Path, name: &str) -> anyhow::Result<bool> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let place = folder.join(name);
    if fs::read(&place).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    // Not `.wasm`, so that the gateway does not take it for a plugin.
    let aside = folder.join(format!(".{name}.new"));
    fs::write(&aside, &new).with_context(|| format!("cannot write {}", aside.display()))?;
    fs::rename(&aside, &place).with_context(|| format!("cannot replace {}", place.display()))?;
    Ok(true)
}
