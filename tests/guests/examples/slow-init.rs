//! Takes its time in `init`, by the clock.

use portcullis_sdk::clock;
use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// How long.
    ms: u64,
}

struct Slow;

#[portcullis_sdk::plugin(name = "slow-init", grants = ["clock"])]
impl Plugin for Slow {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let end = clock::monotonic_ns() + config.ms * 1_000_000;
        while clock::monotonic_ns() < end {}
        Ok(Self)
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        response.set_header_named("x-slow-init", "done")?;
        Ok(Verdict::Next)
    }
}
