//! Metrics and the trace of a run for a collector of OpenTelemetry, by OTLP over HTTP with Protocol Buffers. Nothing is sent unless the standard
//! variables name a collector.

pub mod messages;
mod settings;
mod spans;

use std::time::Duration;

use prost::Message;

use super::ended::Ended;
use super::families::{FAMILIES, Sample};
use crate::config::Environment;
use crate::storage::{Post, PostError, Poster};
use messages::{
    Gauge, Metric, MetricsRequest, NumberDataPoint, Resource, ResourceMetrics, ScopeMetrics, attribute, nanoseconds, number_data_point,
    scope,
};
use settings::{Settings, Signal};

/// Something that is sent to a collector.
#[derive(Debug)]
pub struct Export {
    what: &'static str,
    signal: Signal,
    body: Vec<u8>,
}

/// What is sent of a run; warnings if what the variables say cannot be done.
pub fn exports(ended: &Ended<'_>, samples: &[Sample], environment: &Environment, warnings: &mut Vec<String>) -> Vec<Export> {
    let settings = match Settings::of(environment) {
        Ok(Some(settings)) => settings,
        Ok(None) => return Vec::new(),
        Err(why) => {
            warnings.push(why);
            return Vec::new();
        }
    };
    let resource = Resource { attributes: settings.resource.iter().map(|(key, value)| attribute(key, value)).collect() };
    let mut exports = Vec::new();
    if let Some(signal) = settings.metrics {
        exports.push(Export { what: "metrics", signal, body: metrics(ended, samples, resource.clone()) });
    }
    if let Some(signal) = settings.traces
        && let Some(body) = spans::trace(ended, &settings.parent, resource)
    {
        exports.push(Export { what: "trace", signal, body });
    }
    exports
}

impl Export {
    /// Sends it; what somebody should know if that does not succeed.
    pub async fn send(self, poster: Result<Poster, PostError>, within: Duration) -> Option<String> {
        let Signal { endpoint, headers, timeout } = self.signal;
        let within = within.min(timeout);
        let sent = match poster {
            Ok(poster) => {
                let post = Post { url: &endpoint, headers: &headers, content_type: "application/x-protobuf", body: self.body, within };
                poster.post(post).await
            }
            Err(error) => Err(error),
        };
        let (what, were) = (self.what, if self.what == "trace" { "was" } else { "were" });
        sent.err().map(|why| format!("the {what} of the run {were} not sent to the collector of OpenTelemetry: {why}"))
    }
}

fn metrics(ended: &Ended<'_>, samples: &[Sample], resource: Resource) -> Vec<u8> {
    let at = nanoseconds(ended.at.timestamp_micros());
    let mut metrics = Vec::new();
    for family in &FAMILIES {
        let of_family = samples.iter().filter(|sample| sample.family == family);
        let points: Vec<NumberDataPoint> = of_family
            .map(|sample| NumberDataPoint {
                time_unix_nano: at,
                value: Some(number_data_point::Value::AsDouble(sample.value)),
                attributes: sample.labels.iter().map(|(label, value)| attribute(label, value)).collect(),
            })
            .collect();
        if points.is_empty() {
            continue;
        }
        let (name, description, unit) = (family.name.to_owned(), family.help.to_owned(), family.unit.to_owned());
        metrics.push(Metric { name, description, unit, gauge: Some(Gauge { data_points: points }) });
    }
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics }];
    MetricsRequest { resource_metrics: vec![ResourceMetrics { resource: Some(resource), scope_metrics }] }.encode_to_vec()
}
