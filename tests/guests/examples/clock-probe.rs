//! Says what the clocks and the exchange's timings say, in response fields.

use portcullis_sdk::prelude::*;
use portcullis_sdk::{clock, plugin_name};

#[derive(Default)]
struct Probe;

#[portcullis_sdk::plugin(name = "clock-probe", grants = ["clock"])]
impl Plugin for Probe {
    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        let (first, second) = (clock::monotonic_ns(), clock::monotonic_ns());
        let times = request.timings();
        let names: Vec<_> = request.plugin_timings().iter().map(|timing| plugin_name(timing.plugin)).collect();
        response.set_header_named("x-now-ms", clock::now_ms().to_string())?;
        response.set_header_named("x-monotonic", (second >= first).to_string())?;
        response.set_header_named("x-elapsed-ns", times.elapsed.to_string())?;
        response.set_header_named("x-upstream-ns", times.upstream.to_string())?;
        response.set_header_named("x-plugins", names.join(","))?;
        Ok(Verdict::Next)
    }
}
