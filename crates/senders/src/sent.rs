//! What several senders have sent together.

use std::time::Duration;

use meshy_load::{Report, Summary};
use serde::{Deserialize, Serialize};

/// The result of a load of several senders.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The merged reports of all senders, of those that died as far as it is known.
    pub report: Report,
    /// The report of each sender, in the order of `senders`.
    pub reports: Vec<Report>,
    /// The senders.
    pub senders: Vec<Sender>,
    /// The agreed rate.
    pub rate: f64,
    /// How long the load was.
    pub length: Duration,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// The time between the first and the last start of a sender; none without two known starts.
    pub start_skew: Option<Duration>,
    /// By how much the start skew may be wrong, since clocks are compared over the network.
    pub clock_error: Duration,
}

/// What one sender did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sender {
    /// Its pod.
    pub pod: String,
    /// The node of its pod.
    pub node: String,
    /// Requests that it had to send.
    pub scheduled_count: u64,
    /// Requests that ended, as far as it is known.
    pub requests_count: u64,
    /// When it started, in milliseconds after the agreed start, by the clock of the machine that controls it.
    pub started_ms: Option<f64>,
    /// Why its report is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

impl Sent {
    /// Whether a sender died or did not report everything.
    pub fn is_incomplete(&self) -> bool {
        self.senders.iter().any(|sender| sender.lost.is_some())
    }

    /// Returns the requests that all senders had to send.
    pub fn scheduled(&self) -> u64 {
        self.senders.iter().map(|sender| sender.scheduled_count).sum()
    }

    /// Returns the summary of all requests that are known.
    pub fn summary(&self) -> Summary {
        self.report.summary(self.length, self.rate, self.interrupted)
    }

    /// Returns the lines that describe the senders: how many, where, their start skew, and which of them died.
    pub fn lines(&self) -> Vec<String> {
        let mut nodes: Vec<&str> = self.senders.iter().map(|sender| sender.node.as_str()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let skew = self.start_skew.map(|skew| {
            format!(", start skew {:.1} ms (± {:.1} ms)", millis(skew), millis(self.clock_error))
        });
        let (senders, nodes) = (count(self.senders.len(), "sender"), count(nodes.len(), "node"));
        let mut lines = vec![format!(
            "{senders} on {nodes}, {} requests scheduled{}",
            self.scheduled(),
            skew.unwrap_or_default()
        )];
        for sender in &self.senders {
            let Some(lost) = &sender.lost else { continue };
            lines.push(format!(
                "incomplete: {}: {lost}; {} of {} requests are known",
                sender.pod, sender.requests_count, sender.scheduled_count
            ));
        }
        lines
    }
}

fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_died_is_named_with_what_is_known() {
        let sender = |pod: &str, lost: Option<&str>| Sender {
            pod: pod.to_owned(),
            node: "n1".to_owned(),
            scheduled_count: 500,
            requests_count: 120,
            started_ms: Some(0.1),
            lost: lost.map(str::to_owned),
        };
        let sent = Sent {
            report: Report::default(),
            reports: Vec::new(),
            senders: vec![sender("a", None), sender("b", Some("its pod is gone"))],
            rate: 10.0,
            length: Duration::from_secs(1),
            interrupted: false,
            start_skew: Some(Duration::from_micros(1_240)),
            clock_error: Duration::from_micros(300),
        };
        assert!(sent.is_incomplete());
        assert_eq!(
            sent.lines(),
            [
                "2 senders on 1 node, 1000 requests scheduled, start skew 1.2 ms (± 0.3 ms)",
                "incomplete: b: its pod is gone; 120 of 500 requests are known",
            ]
        );
    }
}
