//! Says that it has no use for `pre-handler` where its configuration says so.
//!
//! `pre-handler` leaves the attribute that becomes `x-idle`, `post-handler` says `x-busy`.

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// Whether `pre-handler` is of no use.
    idle: bool,
}

struct Idle(Config);

#[portcullis_sdk::plugin(name = "idle-hooks")]
impl Plugin for Idle {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn idle_hooks(&self) -> Vec<Hook> {
        if self.0.idle { vec![Hook::PreHandler] } else { Vec::new() }
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        request.set_attribute("idle", "called")?;
        Ok(Verdict::Next)
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        response.set_header_named("x-busy", "called")?;
        if let Some(called) = request.attribute("idle") {
            response.set_header_named("x-idle", called)?;
        }
        Ok(Verdict::Next)
    }
}
