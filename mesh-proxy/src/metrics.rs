//! Encodes what the worker has counted, on the control thread, when somebody asks.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use samspill_engine::metrics::{DURATION_BUCKETS, Side};
use samspill_observability::conventions::{label, metric};

use crate::app::Shared;

/// The answer to `GET /metrics`.
pub(crate) fn encode(shared: &Shared) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Counters(shared.clone())));
    samspill_observability::metrics::encode(&registry)
}

#[derive(Debug)]
struct Counters(Shared);

impl Collector for Counters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let metrics = &self.0.metrics;
        let traffic: Vec<_> = metrics
            .all_traffic()
            .into_iter()
            .map(|(key, traffic)| {
                let labels = [
                    (label::PROXY, key.side.as_str().to_owned()),
                    (label::SOURCE, key.source),
                    (label::DESTINATION, key.destination),
                ];
                (labels, traffic.totals())
            })
            .collect();

        let mut requests =
            encoder.encode_descriptor(metric::REQUESTS, "Requests answered", None, MetricType::Counter)?;
        for (labels, totals) in &traffic {
            for (class, count) in totals.by_class.iter().enumerate().filter(|(_, count)| **count > 0) {
                let status = if class == 0 { "none".to_owned() } else { format!("{class}xx") };
                let with_status = [labels.as_slice(), &[(label::STATUS, status)]].concat();
                ConstCounter::new(*count).encode(requests.encode_family(&with_status)?)?;
            }
        }
        let mut durations = encoder.encode_descriptor(
            metric::REQUEST_DURATION,
            "From the head of a request to the end of its response",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (labels, totals) in &traffic {
            let bounds = DURATION_BUCKETS.into_iter().chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(totals.buckets.iter().copied()).collect();
            let count = totals.buckets.iter().sum();
            let mut histogram = durations.encode_family(labels)?;
            histogram.encode_histogram::<[(&str, &str); 0]>(totals.sum_seconds, count, &buckets, None)?;
        }
        let mut in_flight = encoder.encode_descriptor(
            metric::REQUESTS_IN_FLIGHT,
            "Requests begun and not ended",
            None,
            MetricType::Gauge,
        )?;
        for (labels, totals) in &traffic {
            ConstGauge::new(totals.in_flight).encode(in_flight.encode_family(labels)?)?;
        }
        let mut connections =
            encoder.encode_descriptor(metric::CONNECTIONS_OPEN, "Open connections", None, MetricType::Gauge)?;
        for side in Side::ALL {
            let labels = [(label::PROXY, side.as_str())];
            ConstGauge::new(metrics.connections(side)).encode(connections.encode_family(&labels)?)?;
        }
        let mut handshakes =
            encoder.encode_descriptor(metric::HANDSHAKES, "Mutual TLS handshakes", None, MetricType::Counter)?;
        for side in Side::ALL {
            for (result, succeeded) in [("ok", true), ("failed", false)] {
                let labels = [(label::PROXY, side.as_str()), (label::RESULT, result)];
                ConstCounter::new(metrics.handshakes(side, succeeded)).encode(handshakes.encode_family(&labels)?)?;
            }
        }
        let mut failures = encoder.encode_descriptor(
            metric::FAILURES,
            "Answers that the proxy made itself",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in metrics.failures().filter(|(_, count)| *count > 0) {
            let labels = [(label::REASON, reason.as_str())];
            ConstCounter::new(count).encode(failures.encode_family(&labels)?)?;
        }
        let dropped = encoder.encode_descriptor(
            metric::SPANS_DROPPED,
            "Spans that the collector did not take in time",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(self.0.spans.dropped()).encode(dropped)
    }
}
