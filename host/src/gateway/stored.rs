//! The cache's life beside the gateway's: what it begins with, whom it is shared with, what is left of it.

use std::io;
use std::sync::{Arc, PoisonError};

use super::Gateway;
use crate::cache::Cache;
use crate::cache::envelope::Envelope;
use crate::config::Config;
use crate::purger::Purger;
use crate::warm;

impl Gateway {
    /// The cache: with what was saved at the last end, shared where there is somebody to share with, purged by those who may.
    pub(super) fn fill_cache(&mut self, config: &Config) -> io::Result<Arc<Cache>> {
        let settings = &config.cache;
        let mut cache = Cache::new(settings);
        if let (Some(redis), Some(shared)) = (&self.redis, settings.shared) {
            cache.share(redis.clone(), Envelope::new(settings), shared)?;
        }
        if let Some(path) = &settings.persist {
            let (records, warning) = cache.load(path, &Envelope::new(settings));
            if let Some(warning) = warning {
                tracing::warn!(path = %path.display(), "cache.persist: {warning}");
                self.cache_trouble.push(format!("cache.persist: {warning}"));
            }
            tracing::info!(records, "stored responses loaded");
        }
        let cache = Arc::new(cache);
        self.cache = Some(Arc::clone(&cache));
        self.purge_through(&cache);
        Ok(cache)
    }

    /// Keeps what was asked for most for the next start.
    pub(super) fn remember_asked(&self) {
        let warm = self.generation.config.warm.as_ref();
        let (Some(cache), Some(most_asked)) = (&self.cache, warm.and_then(|warm| warm.most_asked.as_ref())) else {
            return;
        };
        if let Err(error) = warm::remember(most_asked, cache.most_asked().into_iter()) {
            tracing::error!(path = %most_asked.path.display(), %error, "what was asked for most cannot be kept");
        }
    }

    /// Lets operators and plugins purge what is stored.
    fn purge_through(&mut self, cache: &Arc<Cache>) {
        let purger = Arc::new(Purger::new(Arc::clone(cache), self.cdn.clone()));
        purger.adopt(&self.generation.config.dependencies);
        self.services.purge_through(Arc::clone(&purger) as Arc<_>);
        self.status.lock().unwrap_or_else(PoisonError::into_inner).purger = Some(Arc::clone(&purger));
        self.purger = Some(purger);
    }

    /// Saves what is stored for the next start. A successor that serves already may have purged what we still have, so it gets nothing.
    pub(super) fn save_cache(&self) {
        let settings = &self.generation.config.cache;
        let (Some(cache), Some(path)) = (&self.cache, &settings.persist) else { return };
        if self.sockets.has_successor() {
            return;
        }
        match cache.save(path, &Envelope::new(settings), settings.memory_bytes_max) {
            Ok(saved) => tracing::info!(records = saved.records, bytes = saved.bytes, "stored responses saved"),
            Err(error) => tracing::error!(path = %path.display(), %error, "stored responses cannot be saved"),
        }
    }
}
