//! A load that senders have accepted: from its agreed start to the merged reports.

use std::time::Duration;

use meshy_load::protocol::Part;
use meshy_load::{Report, TargetSpec, Tick};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::progress::{Known, follow};
use crate::sent::{Sender, Sent};

/// The time after the last request is due in which senders must end, besides the times that requests may take.
const MARGIN: Duration = Duration::from_secs(30);

/// A load of all senders together.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where requests are sent.
    pub targets: Vec<TargetSpec>,
    /// The parts of the load.
    pub parts: Vec<Part>,
    /// The most connections of each sender to each target.
    pub connections: u16,
    /// How long a request may take.
    pub timeout: Duration,
}

/// A load that each sender starts at the agreed instant.
pub struct Planned {
    pub(crate) known: Vec<Known>,
    pub(crate) load: Load,
    /// The agreed start, in this machine's microseconds of Unix time.
    pub(crate) start: u64,
    /// The same instant on this machine's monotonic clock.
    pub(crate) begins: Instant,
    pub(crate) length: Duration,
    pub(crate) clock_error: Duration,
}

impl Planned {
    /// Returns the agreed start.
    pub fn begins(&self) -> Instant {
        self.begins
    }

    /// Follows the senders until the last one has ended and merges their reports. `each_second` receives what happened in about a
    /// second. A `true` in `stop` ends the load early; what was counted is kept.
    pub async fn follow(
        self,
        stop: watch::Receiver<bool>,
        mut each_second: impl FnMut(&Tick, &Report),
    ) -> Sent {
        let Self { mut known, load, start, begins, length, clock_error } = self;
        let mut view = View::default();
        follow(&mut known, begins + length + load.timeout * 2 + MARGIN, stop, |known| {
            let merged = merged(known);
            each_second(&view.tick(&merged, begins.elapsed()), &merged);
        })
        .await;
        sent(&known, &load, (start, begins.elapsed(), length), clock_error)
    }
}

fn merged(known: &[Known]) -> Report {
    let mut all = Report::default();
    known.iter().for_each(|one| all.merge(&one.report));
    all
}

fn sent(
    known: &[Known],
    load: &Load,
    (start, elapsed, length): (u64, Duration, Duration),
    clock_error: Duration,
) -> Sent {
    let starts = known.iter().filter_map(|one| one.started);
    let (first, last) = (starts.clone().min(), starts.clone().max());
    let skew = first.zip(last).map(|(first, last)| Duration::from_micros(last - first));
    let interrupted = known.iter().any(|one| one.interrupted);
    let sender = |one: &Known| Sender {
        pod: one.control.pod.clone(),
        node: one.node.clone(),
        scheduled_count: one.scheduled,
        requests_count: one.report.requests(),
        started_ms: one.started.map(|at| at as f64 / 1000.0 - start as f64 / 1000.0),
        lost: one.lost.clone(),
    };
    // The reports are read once a second: the end is known no better, so the length of the plan counts.
    let length = if interrupted { elapsed.min(length) } else { length };
    let requests: f64 = load.parts.iter().map(|part| part.rate * part.duration_ms as f64 / 1000.0).sum();
    Sent {
        report: merged(known),
        reports: known.iter().map(|one| one.report.clone()).collect(),
        senders: known.iter().map(sender).collect(),
        rate: requests / load.parts.iter().map(end).max().map_or(1.0, |end| end.as_secs_f64().max(1e-9)),
        length,
        interrupted,
        start_skew: skew.filter(|_| starts.count() > 1),
        clock_error,
    }
}

fn end(part: &Part) -> Duration {
    Duration::from_millis(part.after_ms + part.duration_ms)
}

/// What the live view has shown so far.
#[derive(Default)]
struct View {
    at: f64,
    requests: u64,
    succeeded: u64,
}

impl View {
    /// Returns what happened since the last time; its latencies are those of the last second that is known.
    fn tick(&mut self, report: &Report, elapsed: Duration) -> Tick {
        let at = elapsed.as_secs_f64();
        let (requests, succeeded) = (report.requests(), report.succeeded());
        let last = report.seconds().last_key_value().map(|(_, second)| second.latencies());
        let tick = Tick {
            at_seconds: self.at,
            length_seconds: at - self.at,
            requests_count: requests.saturating_sub(self.requests),
            succeeded_count: succeeded.saturating_sub(self.succeeded),
            latency: last.map(|latencies| latencies.percentiles()).unwrap_or_default(),
        };
        *self = Self { at, requests, succeeded };
        tick
    }
}
