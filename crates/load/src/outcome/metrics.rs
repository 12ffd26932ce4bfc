//! Sums as Prometheus reads them (text exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::beat::{Counts, Kind, Latency};
use crate::conduct::Row;

/// Upper edges of the buckets that response times are told in, in microseconds.
const EDGES_US: &[u64] = &[
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000, 32_000_000,
];

/// Everything up to now.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    counts: Counts,
    latency: BTreeMap<Kind, (Vec<u64>, u64, f64)>,
    row: Row,
    cpu_s: f64,
    server_cpu_s: f64,
}

impl Sums {
    /// Adds a second, warm-up included.
    pub fn add(&mut self, row: &Row, counts: &Counts) {
        let mut rest = counts.clone();
        for (kind, latency) in std::mem::take(&mut rest.latency) {
            let (buckets, count, sum) =
                self.latency.entry(kind).or_insert_with(|| (vec![0; EDGES_US.len()], 0, 0.0));
            add(buckets, &latency);
            *count += latency.histogram().len();
            *sum += latency.histogram().mean() * latency.histogram().len() as f64 / 1e6;
        }
        self.counts.add(&rest);
        self.cpu_s += row.cpu_ns as f64 / 1e9;
        self.server_cpu_s += row.sample.server_cpu_ns.unwrap_or(0) as f64 / 1e9;
        self.row = row.clone();
    }

    /// The page.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let counts = &self.counts;
        let mut one = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = writeln!(
                text,
                "# HELP lab_load_{name} {help}\n# TYPE lab_load_{name} {kind}\nlab_load_{name} {value}"
            );
        };
        let row = &self.row;
        one("offered_total", "counter", "Pieces of work that fell due.", counts.offered as f64);
        one(
            "succeeded_total",
            "counter",
            "Pieces of work that went as they should.",
            counts.succeeded as f64,
        );
        one("sent_total", "counter", "Messages sent.", counts.sent as f64);
        one("received_total", "counter", "Messages received.", counts.received as f64);
        one("retransmissions_total", "counter", "Requests sent again.", counts.retransmissions as f64);
        one("connections_total", "counter", "Connections opened.", counts.connections as f64);
        one("handshakes_total", "counter", "TLS handshakes completed.", counts.handshakes as f64);
        one("in_flight", "gauge", "Pieces of work begun and not ended.", row.in_flight as f64);
        one("registered", "gauge", "Phones that hold a binding.", row.registered as f64);
        one("connected", "gauge", "Connections that are up.", row.connected as f64);
        one(
            "lateness_seconds",
            "gauge",
            "The latest that the generator was in the last second.",
            row.lateness_us as f64 / 1e6,
        );
        one("busiest_core_ratio", "gauge", "The share of its core that the busiest part used.", row.busiest);
        one("cpu_seconds_total", "counter", "CPU that the generator used.", self.cpu_s);
        one("server_cpu_seconds_total", "counter", "CPU that the lab's own pool used.", self.server_cpu_s);
        one("second", "gauge", "Which second of the run was complete.", f64::from(row.second));
        text.push_str("# HELP lab_load_failed_total Pieces of work that failed.\n# TYPE lab_load_failed_total counter\n");
        for (cause, count) in &counts.failed {
            let _ = writeln!(text, "lab_load_failed_total{{cause=\"{}\"}} {count}", label(cause.as_str()));
        }
        text.push_str("# HELP lab_load_latency_seconds Response times from the moment when work was due.\n");
        text.push_str("# TYPE lab_load_latency_seconds histogram\n");
        for (kind, (buckets, count, sum)) in &self.latency {
            let kind = kind.name();
            for (edge, bucket) in EDGES_US.iter().zip(buckets) {
                let edge = *edge as f64 / 1e6;
                let _ = writeln!(
                    text,
                    "lab_load_latency_seconds_bucket{{kind=\"{kind}\",le=\"{edge}\"}} {bucket}"
                );
            }
            let _ = writeln!(text, "lab_load_latency_seconds_bucket{{kind=\"{kind}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "lab_load_latency_seconds_sum{{kind=\"{kind}\"}} {sum}");
            let _ = writeln!(text, "lab_load_latency_seconds_count{{kind=\"{kind}\"}} {count}");
        }
        text
    }
}

fn add(buckets: &mut [u64], latency: &Latency) {
    for (bucket, edge) in buckets.iter_mut().zip(EDGES_US) {
        *bucket += latency.histogram().count_between(0, *edge);
    }
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::beat::Cause;

    #[test]
    fn sums_grow_and_strange_causes_are_quoted() {
        let mut sums = Sums::default();
        let mut counts = Counts { offered: 3, ..Counts::default() };
        counts.succeed(Kind::Refresh, Duration::from_millis(4));
        counts.fail(Cause::tls("a \"name\"\n\\"));
        for _ in 0..2 {
            sums.add(&Row::default(), &counts);
        }
        let text = sums.text();
        assert!(text.contains("\nlab_load_offered_total 6\n"), "{text}");
        assert!(text.contains("lab_load_failed_total{cause=\"TLS: a \\\"name\\\"\\n\\\\\"} 2\n"), "{text}");
        assert!(
            text.contains("lab_load_latency_seconds_bucket{kind=\"refresh\",le=\"0.002\"} 0\n"),
            "{text}"
        );
        assert!(
            text.contains("lab_load_latency_seconds_bucket{kind=\"refresh\",le=\"0.005\"} 2\n"),
            "{text}"
        );
    }
}
