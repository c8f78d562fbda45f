//! The command line: `run`, `check`, `routes explain`, `ctl`, `cache`, `plugin inspect`, `hash`, `schema`.
//!
//! Says what is wrong in sentences on standard error and in the exit code: 0 fine, 1 refused, 2 wrong usage.

mod cache;
mod check;
mod ctl;
pub mod demo;
mod door;
mod hash;
mod inspect;
mod operator;
mod routes;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::gateway::Source;

/// The demo origin's address goes by this name into the default configuration.
const DEMO_ORIGIN: &str = "PORTCULLIS_DEMO_ORIGIN";

/// An HTTP gateway in which every decision you want to own is a sandboxed WebAssembly component.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT; SIGHUP reads configuration and plugins again.
    Run {
        #[command(flatten)]
        files: Files,
        /// Worker threads, whatever the configuration says.
        #[arg(long)]
        workers: Option<usize>,
        /// Start a small origin on a loopback port for the default configuration, and print command lines to try.
        #[arg(long)]
        demo: bool,
    },
    /// Say everything that is wrong with a configuration and its plugins.
    Check {
        #[command(flatten)]
        files: Files,
    },
    /// Look at the routes.
    Routes {
        #[command(subcommand)]
        command: routes::RoutesCommand,
    },
    /// Operate a running gateway: look at it, change it, undo it.
    Ctl(ctl::Ctl),
    /// Purge or look at what a running gateway stores.
    Cache {
        #[command(subcommand)]
        command: cache::CacheCommand,
    },
    /// Work with plugin files.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Make what configurations keep instead of passwords and keys.
    Hash {
        #[command(subcommand)]
        command: hash::HashCommand,
    },
    /// Print the JSON Schema of the configuration.
    Schema,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Show what a plugin file is: hooks, imports, size, grants it asks for, schema of its configuration.
    Inspect {
        /// The `.wasm` file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Files {
    /// The configuration.
    #[arg(long, default_value = "config/portcullis.json")]
    config: PathBuf,
    /// A file that is merged over the configuration (RFC 7396); may be given several times.
    #[arg(long)]
    overlay: Vec<PathBuf>,
}

impl Files {
    fn source(self, workers: Option<usize>, demo_origin: Option<std::net::SocketAddr>) -> Source {
        let environment = move |name: &str| match demo_origin {
            Some(address) if name == DEMO_ORIGIN => Some(address.to_string()),
            _ => std::env::var(name).ok(),
        };
        Source { file: self.config, overlays: self.overlay, environment: Box::new(environment), workers }
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { files, workers, demo } => run::run(files, workers, demo),
        Command::Check { files } => check::check(files),
        Command::Routes { command } => routes::routes(command),
        Command::Ctl(order) => ctl::ctl(order),
        Command::Cache { command } => cache::cache(command),
        Command::Plugin { command: PluginCommand::Inspect { file } } => inspect::inspect(&file),
        Command::Hash { command } => hash::hash(command),
        Command::Schema => print(&format!("{:#}\n", crate::config::schema())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
