//! Says in the log when an instance begins and when it ends.

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// What it says.
    word: String,
}

struct Instance {
    word: String,
}

#[portcullis_sdk::plugin(name = "destroy-logs", grants = ["log"])]
impl Plugin for Instance {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        info!("init of {}", config.word);
        Ok(Self { word: config.word })
    }

    fn pre_handler(&self, _: &Request) -> Result<Verdict> {
        Ok(Verdict::Next)
    }

    fn destroy(&self) {
        info!("destroy of {}", self.word);
    }
}
