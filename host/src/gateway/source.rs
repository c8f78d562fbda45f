//! Where the configuration comes from, so that it can be read again.
//!
//! Says what the files hold; what becomes of it is the gateway's business.

use std::path::PathBuf;

use serde_json::Value;

use crate::config::{self, Config};

/// Looks up environment variables.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where the configuration comes from.
pub struct Source {
    /// The main file.
    pub file: PathBuf,
    /// Overlays, merged over it in this order.
    pub overlays: Vec<PathBuf>,
    /// Looks up `${NAME}`.
    pub environment: Environment,
    /// Workers, where the command line says so.
    pub workers: Option<usize>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.file.display())
    }
}

impl Source {
    /// Reads and checks the configuration.
    pub fn load(&self) -> Result<Config, config::Problems> {
        let mut config = config::load(&self.file, &self.overlays, &*self.environment)?;
        if let Some(workers) = self.workers {
            config.workers = workers.max(1);
        }
        Ok(config)
    }

    /// What could be understood of the configuration, and everything that is wrong with it.
    pub fn examine(&self) -> (Option<Config>, Option<config::Problems>) {
        let (mut config, problems) = config::examine(&self.file, &self.overlays, &*self.environment);
        if let (Some(config), Some(workers)) = (&mut config, self.workers) {
            config.workers = workers.max(1);
        }
        (config, problems)
    }

    /// The same for this document in place of what the main file holds.
    pub(super) fn examine_document(&self, document: &Value) -> config::Examined {
        let mut examined = config::examine_document(document, &self.file, &self.overlays, &*self.environment);
        if let (Some(config), Some(workers)) = (&mut examined.config, self.workers) {
            config.workers = workers.max(1);
        }
        examined
    }

    /// Every file that it is read from.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let all = std::iter::once(&self.file).chain(&self.overlays);
        all.cloned().collect()
    }
}
