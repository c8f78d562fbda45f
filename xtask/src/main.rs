//! The project's own commands: `cargo xtask run | test | check | bench | plugins`.
//!
//! Everything a newcomer or the CI needs is one of these words; each says what it does before it does it, and builds
//! what is missing. No state is kept beside what cargo keeps.

mod build;
mod check;
mod debian;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod house;
mod run;
mod test;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const USAGE: &str = "\
cargo xtask run [--config FILE] [--overlay FILE]... [ARGUMENTS OF `portcullis run`]
    builds what is missing and starts the gateway; without --config the default one, with a demo origin
cargo xtask test [FILTER]...
    builds plugins, guests and gateway, then runs every test (or those whose names contain a filter)
cargo xtask check
    format, lints, tests, docs, dependencies: what must pass before a change is merged
cargo xtask bench [ARGUMENTS OF `cargo bench`]
    the benches in benches/
cargo xtask plugins
    builds the plugins and puts them into config/plugins
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    match dispatch(&command, &arguments.collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, arguments: &[String]) -> anyhow::Result<ExitCode> {
    if matches!(command, "help" | "--help" | "-h") {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::find()?;
    match command {
        "run" => run::run(&workspace, arguments)?,
        "test" => test::test(&workspace, arguments)?,
        "check" => check::check(&workspace)?,
        "bench" => test::bench(&workspace, arguments)?,
        "plugins" => build::plugins(&workspace)?,
        _ => {
            eprint!("{USAGE}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
