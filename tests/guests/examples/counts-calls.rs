//! Counts the requests that its instance has seen in `x-calls`, which tells a warm instance from a fresh one.

use std::cell::Cell;

use portcullis_sdk::prelude::*;

#[derive(Default)]
struct Counts {
    calls: Cell<u64>,
}

#[portcullis_sdk::plugin(name = "counts-calls")]
impl Plugin for Counts {
    fn pre_handler(&self, _: &Request) -> Result<Verdict> {
        self.calls.set(self.calls.get() + 1);
        Ok(Verdict::Next)
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        response.set_header_named("x-calls", self.calls.get().to_string())?;
        Ok(Verdict::Next)
    }
}
