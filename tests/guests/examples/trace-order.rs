//! Leaves a mark in every hook, so that the order of hooks and plugins can be read.
//!
//! All marks up to now are in the attribute `trace`. `pre-route`, `pre-handler` and `cache-key` also append theirs to the
//! request field `x-trace`, `post-handler` to the response field `x-trace`, `post-response` and `destroy` to the log.

use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// Stands in front of every mark.
    label: String,
}

struct Trace {
    label: String,
}

impl Trace {
    fn mark(&self, request: &Request, hook: &str) -> Result<String> {
        let mark = format!("{}:{hook}", self.label);
        let trace = match request.attribute("trace") {
            Some(before) => format!("{before} {mark}"),
            None => mark.clone(),
        };
        request.set_attribute("trace", &trace)?;
        Ok(mark)
    }

    fn mark_request(&self, request: &Request, hook: &str) -> Result<()> {
        let mark = self.mark(request, hook)?;
        Ok(request.append_header_named("x-trace", mark)?)
    }
}

#[portcullis_sdk::plugin(name = "trace-order", grants = ["log"])]
impl Plugin for Trace {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        Ok(Self { label: config.label })
    }

    fn pre_route(&self, request: &Request) -> Result<Verdict> {
        self.mark_request(request, "pre-route")?;
        Ok(Verdict::Next)
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        self.mark_request(request, "pre-handler")?;
        Ok(Verdict::Next)
    }

    fn cache_key(&self, request: &Request) -> Result<KeyVerdict> {
        self.mark_request(request, "cache-key")?;
        Ok(KeyVerdict::Next)
    }

    fn cache_admit(&self, request: &Request, _: &Response) -> Result<AdmitVerdict> {
        self.mark(request, "cache-admit")?;
        Ok(AdmitVerdict::Next)
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        let mark = self.mark(request, "post-handler")?;
        response.append_header_named("x-trace", mark)?;
        response.set_header_named("x-trace-all", request.attribute("trace").unwrap_or_default())?;
        Ok(Verdict::Next)
    }

    fn post_response(&self, request: &Request, _: &Response, summary: &Summary) -> Result<()> {
        self.mark(request, "post-response")?;
        let trace = request.attribute("trace").unwrap_or_default();
        info!(trace = trace, bytes = summary.body_bytes, complete = summary.complete; "trace {}", self.label);
        Ok(())
    }

    fn on_error(&self, request: &Request, _: &Failure) -> Result<Verdict> {
        self.mark(request, "on-error")?;
        Ok(Verdict::Next)
    }

    fn destroy(&self) {
        info!("trace {}:destroy", self.label);
    }
}
