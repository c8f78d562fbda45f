//! What can be ordered by `portcullis ctl`, as it is written on the command line.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Order {
    /// What the gateway is at the moment.
    State,
    /// What is healthy and what is not, and why.
    Health,
    /// Where the time goes, route by route, and which plugin takes it.
    Top {
        /// The last seconds that count.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Show it again every two seconds.
        #[arg(long)]
        watch: bool,
    },
    /// The plugins in chain order with what they cost, or everything about one.
    Plugins {
        /// Which one.
        plugin: Option<String>,
    },
    /// Change a plugin, or look closer at one.
    Plugin {
        #[command(subcommand)]
        order: PluginOrder,
    },
    /// The routes.
    Routes,
    /// Which route wins for a request, and why the others do not.
    Explain {
        /// The method.
        method: String,
        /// The URL.
        url: String,
    },
    /// Show, check, change and roll back the configuration.
    Config {
        #[command(subcommand)]
        order: ConfigOrder,
    },
    /// The upstreams and their endpoints.
    Upstreams,
    /// Change an endpoint of an upstream: let it drain, take part again, or take another share.
    Endpoint {
        /// The upstream.
        upstream: String,
        /// The endpoint as `ctl upstreams` shows it.
        endpoint: String,
        /// Give it nothing new.
        #[arg(long, conflicts_with = "undrain")]
        drain: bool,
        /// Let it take part again.
        #[arg(long)]
        undrain: bool,
        /// Its share, 1 to 1000.
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
        weight: Option<u16>,
    },
    /// The certificates that are shown to clients.
    Certificates,
    /// What is logged; with a filter such as `info,portcullis::plugin=debug`, change it until the next start.
    Log {
        /// The new filter.
        filter: Option<String>,
    },
    /// The mode; with one of normal, serve_stale, cache_only, read_only, maintenance, enter it.
    Mode {
        /// The new mode.
        mode: Option<String>,
    },
    /// The alerts.
    Alerts,
    /// What could be better, with figures.
    Advice,
    /// Who is banned.
    Bans,
    /// Ban an address.
    Ban {
        /// The address.
        address: String,
        /// For how long.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lift a ban.
    Pardon {
        /// The address.
        address: String,
    },
    /// Who changed what.
    Audit {
        /// How many entries, newest first.
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// End the gateway once the requests under way are done.
    Drain {
        /// It is meant.
        #[arg(long)]
        yes: bool,
    },
    /// Any other call: `ctl call GET /api/v1/state`.
    Call {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The body, as JSON.
        body: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginOrder {
    /// Let it run; one that is not in the chain joins it at the end.
    Enable { plugin: String },
    /// Take it out of the chain; its entry stays.
    Disable {
        plugin: String,
        /// It is meant, although the plugin may be one that decides who may pass.
        #[arg(long)]
        yes: bool,
    },
    /// Put a `.wasm` file into the plugin folder, if it works.
    Upload {
        /// The file.
        file: PathBuf,
        /// The name [default: that of the file].
        #[arg(long)]
        plugin: Option<String>,
    },
    /// Take it out of the folder and the chain.
    Remove { plugin: String },
    /// The versions that are kept.
    Versions { plugin: String },
    /// Go back to a version.
    Rollback {
        plugin: String,
        /// Its hash, or the beginning of it.
        hash: String,
    },
    /// Its last failures.
    Traps { plugin: String },
    /// Put the whole chain into this order.
    Order {
        /// All plugins of the chain.
        #[arg(required = true)]
        plugins: Vec<String>,
    },
    /// Give it the configuration in a JSON file; one that is not in the chain joins it at the end.
    Configure { plugin: String, file: PathBuf },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigOrder {
    /// Print it, without secrets.
    Show,
    /// Say everything that is wrong with a file.
    Validate { file: PathBuf },
    /// Say what a file would change.
    Diff { file: PathBuf },
    /// Take a file over.
    Apply {
        file: PathBuf,
        /// Only if the running one still is this (`etag` of `config show --json`).
        #[arg(long)]
        if_match: Option<String>,
    },
    /// The versions that are kept.
    History,
    /// Go back to a version.
    Rollback {
        /// Its id as `config history` shows it, or the beginning of it.
        id: String,
    },
}
