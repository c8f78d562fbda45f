//! Takes its time before the handler, by the clock.

use portcullis_sdk::clock;
use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// How many milliseconds.
    ms: u64,
}

struct Slow(u64);

#[portcullis_sdk::plugin(name = "slow-hook", grants = ["clock"])]
impl Plugin for Slow {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(config.ms * 1_000_000))
    }

    fn pre_handler(&self, _: &Request) -> Result<Verdict> {
        let end = clock::monotonic_ns() + self.0;
        while clock::monotonic_ns() < end {}
        Ok(Verdict::Next)
    }
}
