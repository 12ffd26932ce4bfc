//! `latency.hlog`: response times second by second in the interval log format of HdrHistogram, in microseconds, tagged by kind
//! of work; tools of other people plot and merge it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::beat::Counts;

/// A log that grows.
pub struct IntervalLog {
    text: Vec<u8>,
    serializer: V2Serializer,
}

impl IntervalLog {
    /// An empty log of a run that began so many seconds after 1970.
    pub fn begin(unix_seconds: f64) -> IntervalLog {
        let mut log = IntervalLog { text: Vec::new(), serializer: V2Serializer::new() };
        let start = UNIX_EPOCH + Duration::try_from_secs_f64(unix_seconds).unwrap_or_default();
        log.head(start);
        log
    }

    fn head(&mut self, start: SystemTime) {
        // Writing into memory does not fail.
        let _ = IntervalLogWriterBuilder::new()
            .add_comment("response times of lab load in microseconds, from the moment when work was due")
            .with_start_time(start)
            .with_base_time(start)
            .with_max_value_divisor(1_000.0)
            .begin_log_with(&mut self.text, &mut self.serializer);
    }

    /// Adds a second.
    pub fn second(&mut self, second: u32, counts: &Counts) {
        let mut lines = Vec::new();
        let Ok(mut log) = IntervalLogWriterBuilder::new().begin_log_with(&mut lines, &mut self.serializer)
        else {
            return;
        };
        for (kind, latency) in &counts.latency {
            let start = Duration::from_secs(u64::from(second));
            let tag = Tag::new(kind.name());
            let _ = log.write_histogram(latency.histogram(), start, Duration::from_secs(1), tag);
        }
        self.text.extend_from_slice(&lines);
    }

    /// The file.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::beat::Kind;

    #[test]
    fn another_reader_finds_every_second_with_its_tag() {
        let mut log = IntervalLog::begin(1_000.0);
        let mut counts = Counts::default();
        counts.succeed(Kind::Register, Duration::from_millis(3));
        counts.succeed(Kind::Refresh, Duration::from_millis(5));
        log.second(0, &counts);
        log.second(1, &counts);
        let text = log.finish();
        let mut seen = Vec::new();
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(entry) = entry.expect("it is well formed") {
                use base64::Engine as _;
                let octets = base64::engine::general_purpose::STANDARD
                    .decode(entry.encoded_histogram())
                    .expect("it is base64");
                let histogram: hdrhistogram::Histogram<u64> =
                    Deserializer::new().deserialize(&mut &octets[..]).expect("it is a histogram");
                let tag = entry.tag().map(|tag| tag.as_str().to_owned());
                seen.push((entry.start_timestamp().as_secs(), tag, histogram.max() / 1_000));
            }
        }
        let of = |second: u64, tag: &str, ms: u64| (second, Some(tag.to_owned()), ms);
        assert_eq!(
            seen,
            [of(0, "register", 3), of(0, "refresh", 5), of(1, "register", 3), of(1, "refresh", 5)]
        );
    }
}
