//! Hands the gateway something very large in `post-handler` and reports in `x-huge` whether it was taken.

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
#[serde(rename_all = "snake_case")]
enum What {
    /// One field with a long value.
    Header,
    /// Many short fields.
    Fields,
    /// One attribute with a long value.
    Attribute,
    /// Many attributes.
    Attributes,
    /// A body.
    Body,
    /// The error message.
    Error,
}

#[portcullis_sdk::config]
struct Config {
    /// What is huge.
    what: What,
    /// How long, or how many.
    size: usize,
}

struct Huge(Config);

impl Huge {
    fn offer(&self, request: &Request, response: &Response) -> Result<()> {
        let size = self.0.size;
        let long = || "x".repeat(size);
        match self.0.what {
            What::Header => response.set_header_named("x-huge-value", long())?,
            What::Fields => {
                for number in 0..size {
                    if let Err(error) = response.set_header_named(&format!("x-huge-{number}"), "x") {
                        // Makes room to say so.
                        response.remove_header(HeaderName::intern("x-huge-0")?);
                        return Err(error.into());
                    }
                }
            }
            What::Attribute => request.set_attribute("huge", &long())?,
            What::Attributes => {
                for number in 0..size {
                    request.set_attribute(&format!("huge.{number}"), "x")?;
                }
            }
            What::Body => response.set_body(long()),
            What::Error => return Err(Error::new(long())),
        }
        Ok(())
    }
}

#[portcullis_sdk::plugin(name = "huge-output")]
impl Plugin for Huge {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        let outcome = self.offer(request, response);
        if matches!(self.0.what, What::Error) {
            outcome?;
        } else {
            response
                .set_header_named("x-huge", outcome.err().map_or("taken".to_owned(), |e| e.message().to_owned()))?;
        }
        Ok(Verdict::Next)
    }
}
