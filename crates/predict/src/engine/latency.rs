//! The load of an endpoint as the balancer measures it: the peak of its latencies, decaying, times the requests in flight.

use super::{SECOND, Time};

/// The latency assumed for an endpoint that has not responded yet, in seconds; Linkerd's default.
const INITIAL: f64 = 0.03;
/// The time in which an old latency loses all but 1/e of its weight, in seconds; Linkerd's default.
const DECAY: f64 = 10.0;

pub(super) struct Latency {
    seconds: f64,
    updated: Time,
    in_flight: u32,
}

impl Latency {
    pub(super) fn new() -> Self {
        Self { seconds: INITIAL, updated: 0, in_flight: 0 }
    }

    pub(super) fn begin(&mut self) {
        self.in_flight += 1;
    }

    /// Records the latency of an attempt that ended.
    pub(super) fn end(&mut self, started: Time, now: Time) {
        self.in_flight -= 1;
        self.sample((now - started) as f64 / SECOND as f64, now);
    }

    /// Returns the load in seconds; reading it lets the estimate decay.
    pub(super) fn load(&mut self, now: Time) -> f64 {
        self.sample(0.0, now);
        self.seconds * f64::from(self.in_flight + 1)
    }

    fn sample(&mut self, latency: f64, now: Time) {
        if latency > self.seconds {
            self.seconds = latency;
        } else {
            let elapsed = (now - self.updated) as f64 / SECOND as f64;
            let weight = (-elapsed / DECAY).exp();
            self.seconds = self.seconds * weight + latency * (1.0 - weight);
        }
        self.updated = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same values as the data plane's test of rules 55 and 56.
    #[test]
    fn a_slower_response_replaces_the_estimate_and_a_faster_one_blends_in() {
        let mut latency = Latency::new();
        let mut respond = |at: Time, millis: Time| {
            latency.begin();
            latency.end(at - millis * SECOND / 1_000, at);
            latency.load(at)
        };
        assert!((respond(SECOND, 200) - 0.2).abs() < 1e-9);
        let expected = 0.2 * (-1.0f64).exp() + 0.1 * (1.0 - (-1.0f64).exp());
        assert!((respond(11 * SECOND, 100) - expected).abs() < 1e-6);
    }
}
