//! How much load, and which share of it one sender sends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Requests per second, of all senders together.
    pub rate: f64,
    /// For how long.
    pub length: Duration,
    /// The most connections to each target, and so the most open requests of this sender. Over HTTP/2 these requests share one
    /// connection.
    pub connections: usize,
    /// How long a request may take after it was sent. One that found no free connection for so long is not sent any more,
    /// so that a run ends even where the rate is far beyond the server: at most twice this time after its last request is
    /// due.
    pub patience: Duration,
    /// Which of the requests this sender sends.
    pub share: Share,
}

impl Default for Plan {
    fn default() -> Self {
        // Two a second is what the original demo's budget carries at 70 % failing: every request succeeds.
        let (length, patience) = (Duration::from_secs(30), Duration::from_secs(10));
        Self { rate: 2.0, length, connections: 16, patience, share: Share::ALL }
    }
}

impl Plan {
    /// Returns the number of requests of all senders together.
    pub fn requests(&self) -> u64 {
        (self.rate * self.length.as_secs_f64()).round() as u64
    }

    /// Returns the number of requests of this sender.
    pub fn own_requests(&self) -> u64 {
        let (index, of) = (u64::from(self.share.index), u64::from(self.share.of.max(1)));
        self.requests().saturating_sub(index).div_ceil(of)
    }

    /// Returns when a request is due after the start, by its number among those of all senders.
    pub fn due(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate)
    }
}

/// The interleaved share of one of several senders: the requests `index`, `index + of`, `index + 2 of` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The number of the sender, from 0.
    pub index: u32,
    /// How many senders there are.
    pub of: u32,
}

impl Share {
    /// All requests: there is one sender.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// Returns the number among all requests of the n-th request of this sender.
    pub fn number(self, own: u64) -> u64 {
        own * u64::from(self.of.max(1)) + u64::from(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_four_senders_are_each_request_once() {
        let plan = |index| Plan {
            rate: 2_000.0,
            length: Duration::from_secs(60),
            share: Share { index, of: 4 },
            ..Plan::default()
        };
        let own: Vec<u64> = (0..4).map(|index| plan(index).own_requests()).collect();
        assert_eq!((own.iter().sum::<u64>(), own[0]), (120_000, 30_000));
        for (length, of) in [(7, 3), (2, 4), (1, 1), (0, 2)] {
            let plans = (0..of).map(|index| Plan {
                rate: 1.0,
                length: Duration::from_secs(length),
                share: Share { index, of },
                ..Plan::default()
            });
            let mut numbers: Vec<u64> = plans
                .flat_map(|plan| (0..plan.own_requests()).map(move |own| plan.share.number(own)))
                .collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..length).collect::<Vec<_>>(), "{length} requests of {of} senders");
        }
    }
}
