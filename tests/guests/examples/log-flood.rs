//! Logs far more than anybody may, in `pre-handler`.

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// How many messages per request.
    messages: u32,
    /// How long each one is.
    bytes: usize,
}

struct Flood(Config);

#[portcullis_sdk::plugin(name = "log-flood", grants = ["log"])]
impl Plugin for Flood {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn pre_handler(&self, _: &Request) -> Result<Verdict> {
        let filling = "x".repeat(self.0.bytes);
        for number in 0..self.0.messages {
            info!("flood {number} {filling}");
        }
        Ok(Verdict::Next)
    }
}
