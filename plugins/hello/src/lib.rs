//! The example: puts a greeting of the operator's choice on every response.

use portcullis_sdk::prelude::*;

/// What the operator writes.
#[portcullis_sdk::config]
pub struct Config {
    /// What the `x-greeting` header says; `hello` where nothing is written.
    greeting: Option<String>,
}

/// The instance: one prepared set of header edits.
pub struct Hello(HeaderSet);

#[portcullis_sdk::plugin]
impl Plugin for Hello {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let greeting = config.greeting.unwrap_or_else(|| "hello".to_owned());
        Ok(Self(HeaderSet::builder().set("x-greeting", greeting).prepare()?))
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        response.apply(self.0);
        Ok(Verdict::Next)
    }
}
