//! Uses one series of each kind, and says in `x-metrics` how many more could be registered and what was refused.

use portcullis_sdk::metrics::{Counter, Gauge, Histogram, MetricsError};
use portcullis_sdk::prelude::*;

#[portcullis_sdk::config]
struct Config {
    /// How many series more to register.
    #[serde(default)]
    more: u32,
}

struct Probe {
    requests: Counter,
    level: Gauge,
    sizes: Histogram,
    report: HeaderSet,
}

fn word(error: Option<MetricsError>) -> &'static str {
    match error {
        None => "taken",
        Some(MetricsError::Invalid) => "invalid",
        Some(MetricsError::TooMany) => "too-many",
    }
}

#[portcullis_sdk::plugin(name = "metrics-probe", grants = ["metrics"])]
impl Plugin for Probe {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let register = |number: &u32| Counter::new("more_total", &[("number", &number.to_string())]).is_ok();
        let requests = Counter::new("requests_total", &[("colour", "blue")])?;
        let level = Gauge::new("level", &[])?;
        let sizes = Histogram::new("sizes", &[], &[1.0, 10.0, 100.0])?;
        let registered = (0..config.more).take_while(register).count();
        let bad_name = word(Counter::new("not a name", &[]).err());
        let other_kind = word(Gauge::new("requests_total", &[("colour", "blue")]).err());
        let report = format!("registered={registered} bad_name={bad_name} other_kind={other_kind}");
        let report = HeaderSet::builder().set("x-metrics", report).prepare()?;
        Ok(Self { requests, level, sizes, report })
    }

    fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
        self.requests.increment();
        self.requests.add(-5.0);
        self.requests.add(f64::NAN);
        self.level.set(40.0);
        self.level.add(2.0);
        self.sizes.observe(7.0);
        response.apply(self.report);
        Ok(Verdict::Next)
    }
}
