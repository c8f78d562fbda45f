//! Turns exchange attributes into request fields in `pre-handler` and into response fields in `post-handler`.

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// The attributes. `a.b` becomes `x-attribute-a.b`.
    names: Vec<String>,
}

struct Reader(Config);

impl Reader {
    fn found(&self, request: &Request) -> Vec<(String, String)> {
        let value = |name: &String| request.attribute(name).unwrap_or_else(|| "none".to_owned());
        self.0.names.iter().map(|name| (format!("x-attribute-{name}"), value(name))).collect()
    }
}

#[portcullis_sdk::plugin(name = "attribute-reader")]
impl Plugin for Reader {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        for (name, value) in self.found(request) {
            request.set_header_named(&name, value)?;
        }
        Ok(Verdict::Next)
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        for (name, value) in self.found(request) {
            response.set_header_named(&name, value)?;
        }
        Ok(Verdict::Next)
    }
}
