//! `portcullis run`.

use anyhow::Context as _;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::{Files, demo, print};
use crate::gateway::{Control, Gateway, Inherited};
use crate::telemetry::Log;

pub(super) fn run(files: Files, workers: Option<usize>, demo: bool) -> anyhow::Result<()> {
    // SAFETY: nothing has been opened yet, so that what the environment names is nobody else's.
    let inherited = unsafe { Inherited::take(|name| std::env::var(name).ok()) };
    let origin = if demo { Some(demo::start()?) } else { None };
    let file = files.config.clone();
    let source = files.source(workers, origin);
    let config = source.load().map_err(|problems| anyhow::anyhow!("{}:\n{problems}", file.display()))?;
    let _log = Log::start(&config.log).map_err(|error| anyhow::anyhow!("log: {error}"))?;
    let (control, orders) = Control::new();
    // Before the gateway says that it listens: from then on somebody may want it to stop.
    follow_signals(control.clone())?;
    let operators = config.admin.clone();
    let gateway = Gateway::start(source, config, (control, orders), inherited)?;
    if demo && let Some(address) = gateway.addresses().first() {
        let secret = std::env::var("PORTCULLIS_JWT_SECRET").unwrap_or_else(|_| demo::SECRET.to_owned());
        print(&demo::curl_lines(*address, &secret))?;
        print(&operators.and_then(|operators| demo::operator_lines(&operators)).unwrap_or_default())?;
    }
    gateway.run();
    Ok(())
}

/// SIGTERM and SIGINT drain, SIGHUP reloads, SIGUSR1 opens the access log anew, SIGUSR2 starts a successor that takes over.
fn follow_signals(control: Control) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("SIGHUP")?;
    let mut reopen = signal(SignalKind::user_defined1()).context("SIGUSR1")?;
    let mut upgrade = signal(SignalKind::user_defined2()).context("SIGUSR2")?;
    drop(_entered);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => control.drain(),
                    _ = interrupt.recv() => control.drain(),
                    _ = hang_up.recv() => control.reload(),
                    _ = reopen.recv() => control.reopen(),
                    _ = upgrade.recv() => control.upgrade(),
                }
            }
        });
    })?;
    Ok(())
}
