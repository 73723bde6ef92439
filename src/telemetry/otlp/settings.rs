//! What the standard variables of OpenTelemetry say: where a collector is, how it is spoken to, and which trace the run belongs to.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::config::Environment;
use crate::storage;

/// How long a collector may take unless the variable says otherwise, and at most.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest state of a trace that is passed on.
const STATE_BYTES: usize = 512;

/// What the variables say.
#[derive(Debug)]
pub struct Settings {
    /// How metrics are sent, if they are.
    pub metrics: Option<Signal>,
    /// How traces are sent, if they are.
    pub traces: Option<Signal>,
    /// What describes the program to the collector, by key.
    pub resource: Vec<(String, String)>,
    /// The span that the run is a part of.
    pub parent: Parent,
}

/// How one kind of data is sent.
pub struct Signal {
    /// The URL.
    pub endpoint: String,
    /// The headers, which may hold secrets.
    pub headers: Vec<(String, String)>,
    /// How long it may take.
    pub timeout: Duration,
}

impl fmt::Debug for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signal").field("headers", &self.headers.len()).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// The span that the run is a part of, as whoever started it says (W3C Trace Context).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parent {
    /// The trace and the span; none if the run begins a trace.
    pub ids: Option<([u8; 16], [u8; 8])>,
    /// Whether the trace is not recorded.
    pub is_unsampled: bool,
    /// What vendors keep of the trace.
    pub state: String,
}

impl Settings {
    /// Reads the variables; nothing where they name no collector, or turn it off.
    ///
    /// # Errors
    /// What cannot be done, without the values of variables.
    pub fn of(environment: &Environment) -> Result<Option<Self>, String> {
        let set = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        if set("OTEL_SDK_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let (metrics, traces) = (signal(&set, "METRICS", "v1/metrics")?, signal(&set, "TRACES", "v1/traces")?);
        if metrics.is_none() && traces.is_none() {
            return Ok(None);
        }
        let mut resource = set("OTEL_RESOURCE_ATTRIBUTES").map(pairs).unwrap_or_default();
        // The variable for the name of the service comes before the attribute.
        if let Some(name) = set("OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".to_owned(), name.to_owned()));
        }
        for (key, value) in [("service.name", "segmill"), ("service.version", env!("CARGO_PKG_VERSION"))] {
            if !resource.iter().any(|(other, _)| other == key) {
                resource.push((key.to_owned(), value.to_owned()));
            }
        }
        let parent = Parent::of(set("TRACEPARENT"), set("TRACESTATE"));
        Ok(Some(Settings { metrics, traces, resource, parent }))
    }
}

/// How one kind of data is sent: as the variables of its own say, or else those of all kinds.
fn signal<'a>(set: &impl Fn(&str) -> Option<&'a str>, kind: &str, path: &str) -> Result<Option<Signal>, String> {
    let own_or_all = |name: &str| set(&format!("OTEL_EXPORTER_OTLP_{kind}_{name}")).or_else(|| set(&format!("OTEL_EXPORTER_OTLP_{name}")));
    if set(&format!("OTEL_{kind}_EXPORTER")).is_some_and(|exporter| !exporter.split(',').any(|one| one.trim() == "otlp")) {
        return Ok(None);
    }
    // Its own endpoint is the whole URL; to that of all kinds, the path is added.
    let own = set(&format!("OTEL_EXPORTER_OTLP_{kind}_ENDPOINT")).map(str::to_owned);
    let all = set("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| format!("{}/{path}", base.trim_end_matches('/')));
    let Some(endpoint) = own.or(all) else { return Ok(None) };
    if storage::server(&endpoint).is_err() {
        return Err("nothing was sent to a collector of OpenTelemetry: OTEL_EXPORTER_OTLP_ENDPOINT is no URL of a server".to_owned());
    }
    if own_or_all("PROTOCOL").is_some_and(|protocol| protocol != "http/protobuf") {
        let why = "OTEL_EXPORTER_OTLP_PROTOCOL must be `http/protobuf`, which most collectors expect at port 4318";
        return Err(format!("nothing was sent to a collector of OpenTelemetry: {why}"));
    }
    let timeout = own_or_all("TIMEOUT").and_then(|timeout| timeout.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
    Ok(Some(Signal { endpoint, headers: own_or_all("HEADERS").map(pairs).unwrap_or_default(), timeout: timeout.min(TIMEOUT) }))
}

/// `key=value,key=value`, both percent-encoded. What is no pair is passed over.
fn pairs(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8_lossy().into_owned();
    let pairs = text.split(',').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (decoded(key), decoded(value)));
    pairs.filter(|(key, _)| !key.is_empty()).collect()
}

impl Parent {
    /// Reads `00-TRACE-SPAN-FLAGS`, and the state; a run begins a trace of its own if that is none.
    fn of(parent: Option<&str>, state: Option<&str>) -> Self {
        let read = || {
            let mut parts = parent?.split('-');
            let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            let is_known = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
            let (trace, span, [flags]) = (bytes(trace)?, bytes(span)?, bytes(flags)?);
            (is_known && trace != [0; 16] && span != [0; 8]).then_some((trace, span, flags))
        };
        let Some((trace, span, flags)) = read() else { return Parent::default() };
        let state = state.filter(|state| state.len() <= STATE_BYTES && state.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        Parent { ids: Some((trace, span)), is_unsampled: flags & 1 == 0, state: state.unwrap_or_default().to_owned() }
    }
}

/// Lower-case hexadecimal digits as so many bytes.
fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let is_lower = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if digits.len() != 2 * N || !is_lower {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::of(&variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        assert!(of(&[]).unwrap().is_none());
        assert!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).unwrap().is_none());
        assert!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "True")]).unwrap().is_none());
        let traces = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/"), ("OTEL_METRICS_EXPORTER", "none")]).unwrap().unwrap();
        assert!(traces.metrics.is_none());
        assert_eq!(traces.traces.unwrap().endpoint, "http://c:4318/v1/traces");
        let own = of(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://c/x"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "900")]).unwrap().unwrap();
        assert!(own.traces.is_none());
        let metrics = own.metrics.unwrap();
        assert_eq!((metrics.endpoint.as_str(), metrics.timeout), ("https://c/x", Duration::from_millis(900)));
    }

    #[test]
    fn what_cannot_be_done_is_told_without_values() {
        for variables in [
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "PLANTED"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=PLANTED")],
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://PLANTED:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        ] {
            let told = of(&variables).unwrap_err();
            assert!(told.contains("OTEL_EXPORTER_OTLP_") && !told.contains("PLANTED"), "{told}");
        }
    }

    #[test]
    fn headers_and_attributes_are_decoded() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20YTpi, x = 1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=shop%2C%20eu"),
            ("OTEL_SERVICE_NAME", "nightly"),
        ];
        let settings = of(&variables).unwrap().unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(settings.metrics.as_ref().unwrap().headers, [pair("authorization", "Basic YTpi"), pair("x", "1")]);
        assert!(settings.resource.contains(&pair("team", "shop, eu")) && settings.resource.contains(&pair("service.name", "nightly")));
        assert!(!format!("{settings:?}").contains("YTpi"));
    }

    #[test]
    fn a_run_is_a_part_of_the_trace_that_it_is_told_of() {
        let whole = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = Parent::of(Some(whole), Some("vendor=1"));
        assert_eq!(parent.ids.unwrap().1, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
        assert!(!parent.is_unsampled && parent.state == "vendor=1");
        assert!(Parent::of(Some(&whole.replace("-01", "-00")), None).is_unsampled);
        assert!(
            Parent::of(Some(&whole.replacen("00", "01", 1).replace("-01", "-01-more")), None).ids.is_some(),
            "a later version has more"
        );
        for wrong in [
            "",
            "00-x-y-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c8031éé-b7ad6b7169203331-01",
        ] {
            assert_eq!(Parent::of(Some(wrong), Some("vendor=1")), Parent::default(), "{wrong}");
        }
    }
}
