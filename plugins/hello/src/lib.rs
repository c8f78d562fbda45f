//! The example plugin: answers `/hello`, and puts a greeting on every response.

use portcullis_sdk::prelude::*;

/// What the operator writes.
#[portcullis_sdk::config]
pub struct Config {
    /// What the `x-greeting` header says.
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "hello".to_owned()
}

/// The instance: one prepared set of header edits.
pub struct Hello(HeaderSet);

#[portcullis_sdk::plugin]
impl Plugin for Hello {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(HeaderSet::builder().set("x-greeting", config.greeting).prepare()?))
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        Ok(if request.path() == "/hello" { Response::text(200, "Hello!\n").into() } else { Verdict::Next })
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        response.apply(self.0);
        Ok(Verdict::Next)
    }
}
