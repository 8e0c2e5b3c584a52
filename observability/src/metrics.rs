//! How metrics leave: as OpenMetrics text. Their names are in [`crate::conventions::metric`].

use prometheus_client::registry::Registry;

/// The media type of [`encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of `registry`, as `GET /metrics` answers.
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)
        .expect("because writing to a String cannot fail and no metric of ours is written with errors of its own");
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Unit;

    use super::*;
    use crate::conventions::{label, metric};

    #[test]
    fn names_get_their_suffixes_from_the_encoder() {
        let mut registry = Registry::default();
        let requests = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
        requests.get_or_create(&vec![(label::PROXY, "edge")]).inc();
        registry.register(metric::REQUESTS, "Requests answered", requests);
        let duration = Histogram::new(metric::DURATION_BUCKETS_SECONDS);
        duration.observe(0.004);
        registry.register_with_unit(metric::REQUEST_DURATION, "Time of a request", Unit::Seconds, duration);
        let text = encode(&registry);
        for line in [
            "samspill_requests_total{proxy=\"edge\"} 1",
            "samspill_request_duration_seconds_bucket{le=\"0.005\"} 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
