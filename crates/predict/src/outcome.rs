//! What one simulated run counted.

use std::ops::Range;

/// One simulated run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The random numbers' seed.
    pub seed: u64,
    /// The load, by second of arrival.
    pub seconds: Vec<Second>,
    /// From the load to the entry.
    pub entry: EdgeRun,
    /// By edge of the model.
    pub edges: Vec<EdgeRun>,
    /// By service of the model.
    pub services: Vec<ServiceRun>,
    /// How long the load waited for each response, in seconds, ascending.
    pub latencies: Vec<f64>,
}

/// Requests of the load in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Requests sent.
    pub offered: u32,
    /// Of these, those that were answered with a 2xx at any time.
    pub succeeded: u32,
    /// Of these, those that were answered with a 2xx within the bound.
    pub good: u32,
}

/// What happened on one edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeRun {
    /// In the whole run, including the time after the last request of the load.
    pub total: EdgeCounts,
    /// By second, up to the end of the load.
    pub seconds: Vec<EdgeCounts>,
}

/// Counts of one edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeCounts {
    /// Requests, each with all its attempts (effective), by the second in which they began.
    pub requests: u64,
    /// Those that ended with a status below 500.
    pub requests_succeeded: u64,
    /// Attempts that were sent to the service (actual), by the second in which they began.
    pub attempts: u64,
    /// Those that were answered with a status below 500.
    pub attempts_succeeded: u64,
}

/// What happened at one service, all pods together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServiceRun {
    /// Requests that a full queue rejected.
    pub rejected: u64,
    /// Requests whose work ended.
    pub finished: u64,
    /// Of these, those whose client had disconnected before.
    pub wasted: u64,
    /// The service time of the finished requests.
    pub service_seconds: f64,
    /// The service time of the wasted ones.
    pub wasted_seconds: f64,
}

impl EdgeRun {
    pub(crate) fn count(&mut self, second: usize, change: impl Fn(&mut EdgeCounts)) {
        change(&mut self.total);
        if let Some(counts) = self.seconds.get_mut(second) {
            change(counts);
        }
    }
}

impl Run {
    /// Returns the requests that the load sent.
    pub fn offered(&self) -> u64 {
        self.seconds.iter().map(|second| u64::from(second.offered)).sum()
    }

    /// Returns the share of the load's requests that were answered with a 2xx.
    pub fn success_ratio(&self) -> f64 {
        ratio(self.seconds.iter().map(|second| u64::from(second.succeeded)).sum(), self.offered())
    }

    /// Returns the share of the load's requests that were answered with a 2xx within the bound.
    pub fn goodput_ratio(&self) -> f64 {
        ratio(self.seconds.iter().map(|second| u64::from(second.good)).sum(), self.offered())
    }

    /// Returns the attempts on an edge for each request of the load, in the whole run.
    pub fn amplification(&self, edge: usize) -> f64 {
        ratio(self.edges[edge].total.attempts, self.offered())
    }

    /// Returns the same for some seconds.
    pub fn amplification_in(&self, edge: usize, seconds: Range<usize>) -> f64 {
        let attempts = self.edges[edge].seconds[seconds.clone()].iter().map(|counts| counts.attempts).sum();
        ratio(attempts, self.seconds[seconds].iter().map(|second| u64::from(second.offered)).sum())
    }

    /// Returns the most attempts on an edge in one second.
    pub(crate) fn peak_attempts(&self, edge: usize) -> u64 {
        self.edges[edge].seconds.iter().map(|counts| counts.attempts).max().unwrap_or(0)
    }

    /// Returns the share of work without a client, by service time; by requests if no service takes time.
    pub fn wasted_ratio(&self) -> f64 {
        let sum = |of: fn(&ServiceRun) -> f64| self.services.iter().map(of).sum::<f64>();
        let time = sum(|service| service.service_seconds);
        if time > 0.0 {
            return sum(|service| service.wasted_seconds) / time;
        }
        let count = |of: fn(&ServiceRun) -> u64| self.services.iter().map(of).sum::<u64>();
        ratio(count(|service| service.wasted), count(|service| service.finished))
    }

    /// Returns how long the load waited for this share (0 to 1) of its responses at most, in seconds; 0 without responses.
    pub fn latency_seconds(&self, share: f64) -> f64 {
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
