//! `beats.jsonl`: one line for each second of each part, as it was told.

use serde_json::{Value, json};

use crate::beat::{Beat, Counts};

/// A beat as one line, response times as percentiles.
pub fn line(beat: &Beat) -> String {
    let mut line = json!({
        "part": beat.part,
        "second": beat.second,
        "warm_up": counts(&beat.warm),
        "counted": counts(&beat.counted),
        "in_flight": beat.gauges.in_flight,
        "registered": beat.gauges.registered,
        "connected": beat.gauges.connected,
        "cpu_ns": beat.cpu_ns,
        "lateness_us": beat.lateness_us,
        "blocked": beat.blocked,
    });
    if beat.is_last {
        line["is_last"] = true.into();
    }
    line.to_string()
}

fn counts(counts: &Counts) -> Value {
    if *counts == Counts::default() {
        return Value::Null;
    }
    let latency = counts.latency.iter().map(|(kind, latency)| {
        let histogram = latency.histogram();
        let at = |share: f64| histogram.value_at_quantile(share);
        let told = json!({
            "count": histogram.len(), "p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "max_us": at(1.0),
        });
        (kind.name().to_owned(), told)
    });
    let mut told = json!({
        "offered": counts.offered,
        "succeeded": counts.succeeded,
        "unfinished": counts.unfinished,
        "failed": counts.failed,
        "latency": latency.collect::<serde_json::Map<_, _>>(),
        "sent": counts.sent,
        "received": counts.received,
    });
    let seldom = [
        ("retransmissions", counts.retransmissions),
        ("strays", counts.strays),
        ("challenges", counts.challenges),
        ("handshakes", counts.handshakes),
        ("connections", counts.connections),
        ("lost_on_purpose", counts.lost_on_purpose),
    ];
    for (name, count) in seldom.into_iter().filter(|(_, count)| *count > 0) {
        told[name] = count.into();
    }
    told
}
