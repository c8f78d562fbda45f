//! `metrics`: series by number.

use std::sync::Arc;

use super::contract::metrics::{Host, MetricsError};
use crate::plugin::metrics;
use crate::plugin::state::{PREPARED_MAX, State};

type Registered = Result<metrics::Series, metrics::MetricsError>;

impl State {
    fn register(&mut self, series: Registered) -> wasmtime::Result<Result<u32, MetricsError>> {
        Ok(match series {
            Ok(_) if self.prepared.series.len() >= PREPARED_MAX => Err(MetricsError::TooMany),
            Ok(series) => {
                let all = &mut Arc::make_mut(&mut self.prepared).series;
                all.push(series);
                Ok(u32::try_from(all.len() - 1)?)
            }
            Err(metrics::MetricsError::Invalid) => Err(MetricsError::Invalid),
            Err(metrics::MetricsError::TooMany) => Err(MetricsError::TooMany),
        })
    }

    fn series(&self, number: u32) -> Option<&metrics::Series> {
        self.prepared.series.get(number as usize)
    }
}

impl Host for State {
    fn counter(&mut self, name: String, labels: Vec<(String, String)>) -> wasmtime::Result<Result<u32, MetricsError>> {
        let made = self.services.metrics.counter(&self.plugin, &name, &labels, self.limits.series_max);
        self.register(made)
    }

    fn gauge(&mut self, name: String, labels: Vec<(String, String)>) -> wasmtime::Result<Result<u32, MetricsError>> {
        let made = self.services.metrics.gauge(&self.plugin, &name, &labels, self.limits.series_max);
        self.register(made)
    }

    fn histogram(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        bounds: Vec<f64>,
    ) -> wasmtime::Result<Result<u32, MetricsError>> {
        let made = self.services.metrics.histogram(&self.plugin, &name, &labels, &bounds, self.limits.series_max);
        self.register(made)
    }

    fn add(&mut self, series: u32, amount: f64) -> wasmtime::Result<()> {
        if let Some(series) = self.series(series) {
            series.add(amount);
        }
        Ok(())
    }

    fn set(&mut self, series: u32, value: f64) -> wasmtime::Result<()> {
        if let Some(series) = self.series(series) {
            series.set(value);
        }
        Ok(())
    }

    fn observe(&mut self, series: u32, value: f64) -> wasmtime::Result<()> {
        if let Some(series) = self.series(series) {
            series.observe(value);
        }
        Ok(())
    }
}
