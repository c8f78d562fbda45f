//! What the counters say about the last seconds: rates, quantiles, and where the time goes.

mod json;
mod live;

pub use live::{
    ConnectionFigures, Faults, HookFigures, Latency, Live, PluginShare, ProcessFigures, RouteFigures, Series, Split,
    Traffic, UpstreamFigures,
};
