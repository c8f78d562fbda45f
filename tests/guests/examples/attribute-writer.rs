//! Sets exchange attributes in `pre-route`.

use std::collections::BTreeMap;

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// Names and values.
    attributes: BTreeMap<String, String>,
}

struct Writer(Config);

#[portcullis_sdk::plugin(name = "attribute-writer")]
impl Plugin for Writer {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn pre_route(&self, request: &Request) -> Result<Verdict> {
        for (name, value) in &self.0.attributes {
            request.set_attribute(name, value)?;
        }
        Ok(Verdict::Next)
    }
}
