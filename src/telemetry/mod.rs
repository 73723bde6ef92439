//! What other programs are told of a run when it has ended, however it ended: metrics in a file and for a collector, a trace, and notifications.
//! Nothing of it is a reason for a run to fail. What cannot be delivered in a few seconds is given up, with a warning.

mod carried;
mod ended;
mod families;
mod metrics;
mod notify;
mod otlp;
mod prometheus;
mod summary;

use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::config::Environment;
use crate::storage::Poster;
pub use ended::Ended;
pub use families::{FAMILIES, Family, Scope};
pub use otlp::messages;
pub use prometheus::MAX_METRICS_BYTES;

/// How long all of it may take together.
pub const WITHIN: Duration = Duration::from_secs(11);

/// How long a webhook or a collector may take, with all tries.
const POSTS_WITHIN: Duration = Duration::from_secs(5);

/// Who is told.
#[derive(Debug, Clone, Copy)]
pub struct Audience<'a> {
    /// The file of the metrics.
    pub metrics: Option<&'a Path>,
    /// Whether the notifications of the pipeline file are sent.
    pub notifies: bool,
    /// The variables of the process, which name a collector.
    pub environment: &'a Environment,
    /// How long it may take.
    pub within: Duration,
}

/// Tells of a run that has ended; what somebody should know if that did not succeed, a line each.
pub async fn tell(ended: &Ended<'_>, audience: Audience<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let before = audience.metrics.map(prometheus::read);
    let samples = metrics::samples(ended, before.as_ref());
    if let Some(path) = audience.metrics
        && let Err(why) = prometheus::write(path, &samples)
    {
        warnings.push(why);
    }
    let notifications = if audience.notifies { notify::notifications(ended) } else { Vec::new() };
    let exports = otlp::exports(ended, &samples, audience.environment, &mut warnings);
    if notifications.is_empty() && exports.is_empty() {
        return warnings;
    }
    // Each says by itself that its time is up before it is for all of them.
    let posts_within = POSTS_WITHIN.min(audience.within * 4 / 5);
    let poster = Poster::new();
    let mut tellings: Vec<BoxFuture<'_, Option<String>>> = Vec::new();
    tellings.extend(exports.into_iter().map(|export| export.send(poster.clone(), posts_within).boxed()));
    tellings.extend(notifications.into_iter().map(|one| one.send(poster.clone(), posts_within).boxed()));
    match tokio::time::timeout(audience.within, futures::future::join_all(tellings)).await {
        Ok(told) => warnings.extend(told.into_iter().flatten()),
        Err(_) => warnings.push(format!("not everybody was told how the run ended within {} ms", audience.within.as_millis())),
    }
    warnings
}
