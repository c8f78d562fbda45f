//! Answers in the hook that its configuration names, instead of going on.

use portcullis_guests::Place;
use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// Where it answers.
    place: Place,
    /// With which status.
    status: u16,
    /// With which body.
    #[serde(default)]
    body: String,
}

struct Early(Config);

impl Early {
    fn meet(&self, hook: &str, request: &Request) -> Result<Verdict> {
        if !self.0.place.is(hook, request) {
            return Ok(Verdict::Next);
        }
        let answer = Response::new(self.0.status).with_header("x-answered-in", hook);
        Ok(answer.with_body(&self.0.body).into())
    }
}

#[portcullis_sdk::plugin(name = "respond-early")]
impl Plugin for Early {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn pre_route(&self, request: &Request) -> Result<Verdict> {
        self.meet("pre-route", request)
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        self.meet("pre-handler", request)
    }

    fn post_handler(&self, request: &Request, _: &Response) -> Result<Verdict> {
        self.meet("post-handler", request)
    }

    fn on_error(&self, request: &Request, _: &Failure) -> Result<Verdict> {
        self.meet("on-error", request)
    }
}
