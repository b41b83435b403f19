//! What conditions can measure, and in which unit.

use std::fmt;

use crate::event::Outcome;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The share of requests that succeeded, as the client counts it.
    Success,
    /// The share of attempts that succeeded.
    ActualSuccess,
    /// Requests per second.
    Rate,
    /// Attempts per second.
    ActualRate,
    /// Attempts per request.
    Amplification,
    /// Attempts beyond the first, per request at the service, in percent.
    AddedLoad,
    /// The median latency.
    P50,
    /// The 95th percentile of the latency.
    P95,
    /// The 99th percentile of the latency.
    P99,
    /// The longest latency.
    Max,
    /// The share of requests answered in time with success.
    Goodput,
    /// The time from the end of the trigger until goodput is restored.
    Recovery,
    /// `recovered` or `metastable`.
    Class,
    /// The share of the requests of the load that reached a place.
    Share,
    /// The share of a service's finished work whose client had disconnected.
    Wasted,
    /// The share of attempts with mutual TLS.
    MutualTls,
    /// The kubelet's probes that a service's proxies let pass.
    Probes,
    /// Requests of an outcome class: their share with `%`, else their number.
    Outcome(Outcome),
    /// Responses with a status: their share with `%`, else their number.
    Status(u16),
}

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share, written in percent.
    Ratio,
    /// A rate per second.
    PerSecond,
    /// A time, in milliseconds.
    Millis,
    /// A number of attempts per request.
    PerRequest,
    /// A number.
    Count,
    /// A class of recovery.
    Class,
}

const SIMPLE: [(&str, Metric); 17] = [
    ("success", Metric::Success),
    ("actual-success", Metric::ActualSuccess),
    ("rate", Metric::Rate),
    ("actual-rate", Metric::ActualRate),
    ("amplification", Metric::Amplification),
    ("added-load", Metric::AddedLoad),
    ("p50", Metric::P50),
    ("p95", Metric::P95),
    ("p99", Metric::P99),
    ("max", Metric::Max),
    ("goodput", Metric::Goodput),
    ("recovery", Metric::Recovery),
    ("class", Metric::Class),
    ("share", Metric::Share),
    ("wasted", Metric::Wasted),
    ("mutual-tls", Metric::MutualTls),
    ("probes", Metric::Probes),
];

impl Metric {
    /// The names of the metrics without an argument.
    pub const NAMES: [&'static str; SIMPLE.len()] = {
        let mut names = [""; SIMPLE.len()];
        let mut i = 0;
        while i < SIMPLE.len() {
            names[i] = SIMPLE[i].0;
            i += 1;
        }
        names
    };

    /// Returns the metric of a name without an argument.
    pub(super) fn simple(name: &str) -> Option<Self> {
        SIMPLE.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric)
    }

    /// Returns the units in which the metric can be compared.
    pub fn units(&self) -> &'static [Unit] {
        match self {
            Self::Success
            | Self::ActualSuccess
            | Self::AddedLoad
            | Self::Goodput
            | Self::Share
            | Self::Wasted
            | Self::MutualTls => &[Unit::Ratio],
            Self::Rate | Self::ActualRate => &[Unit::PerSecond],
            Self::Amplification => &[Unit::PerRequest],
            Self::P50 | Self::P95 | Self::P99 | Self::Max | Self::Recovery => &[Unit::Millis],
            Self::Class => &[Unit::Class],
            Self::Probes => &[Unit::Count],
            Self::Outcome(_) | Self::Status(_) => &[Unit::Ratio, Unit::Count],
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outcome(outcome) => write!(f, "outcomes.{}", outcome.id()),
            Self::Status(status) => write!(f, "status.{status}"),
            simple => {
                let name = SIMPLE.iter().find(|(_, metric)| metric == simple).map_or("", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

impl Unit {
    /// Returns a value in words: `93.3 %`, `5.2 ms`, `30 /s`.
    pub fn words(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{} %", rounded(value * 100.0, 2)),
            Self::PerSecond => format!("{} /s", rounded(value, 2)),
            Self::Millis if value.is_infinite() => "never".to_owned(),
            Self::Millis if value >= 1000.0 => format!("{} s", rounded(value / 1000.0, 3)),
            Self::Millis => format!("{} ms", rounded(value, 1)),
            Self::PerRequest => rounded(value, 2),
            Self::Count => rounded(value, 0),
            Self::Class => String::new(),
        }
    }

    /// Returns what a value of this unit looks like.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Ratio => "a percentage such as 95%",
            Self::PerSecond => "a rate such as 30/s",
            Self::Millis => "a duration such as 200ms",
            Self::PerRequest => "attempts per request such as 2.5",
            Self::Count => "a number such as 0",
            Self::Class => "recovered or metastable",
        }
    }
}

/// At most so many decimals, without zeros at the end.
fn rounded(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
