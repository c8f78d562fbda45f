//! Applies one prepared set of every kind of edit to requests and responses.

use portcullis_sdk::prelude::*;

struct Edits {
    set: HeaderSet,
    refused: HeaderSet,
}

#[portcullis_sdk::plugin(name = "header-edits")]
impl Plugin for Edits {
    type Config = NoConfig;

    fn init(_: NoConfig) -> Result<Self> {
        let set = HeaderSet::builder()
            .set("x-set", "new")
            .default_value("x-default", "new")
            .append("x-append", "new")
            .remove("x-remove")
            .prepare()?;
        // Framing belongs to the gateway; a name with a space is no name; a line break is no value.
        let bad = [("content-length", "5"), ("transfer-encoding", "chunked"), ("a name", "x"), ("x-value", "a\nb")];
        let refused = bad.iter().filter(|(name, value)| HeaderSet::builder().set(*name, *value).prepare().is_err());
        let refused = HeaderSet::builder().set("x-refused", refused.count().to_string()).prepare()?;
        Ok(Self { set, refused })
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        request.apply(self.set);
        Ok(Verdict::Next)
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        response.apply(self.set);
        response.apply(self.refused);
        Ok(Verdict::Next)
    }
}
