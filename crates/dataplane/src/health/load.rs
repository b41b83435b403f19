//! An endpoint's load: the peak of its latencies, decaying, times the requests in flight.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// The latency assumed for an endpoint that has not responded yet; Linkerd's default.
const INITIAL: Duration = Duration::from_millis(30);
/// The time in which an old latency loses all but 1/e of its weight; Linkerd's default.
const DECAY: Duration = Duration::from_secs(10);

/// The load of one endpoint.
pub(super) struct Load {
    estimate: Mutex<Estimate>,
    in_flight: AtomicUsize,
}

struct Estimate {
    seconds: f64,
    updated: Instant,
}

impl Load {
    pub(super) fn new() -> Self {
        let estimate = Estimate { seconds: INITIAL.as_secs_f64(), updated: Instant::now() };
        Self { estimate: Mutex::new(estimate), in_flight: AtomicUsize::new(0) }
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Records the latency of a request that got its first data, or ended without any.
    pub(super) fn end(&self, started: Instant, now: Instant) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.estimate.lock().expect("load lock").sample(now.saturating_duration_since(started), now);
    }

    /// Records a failure as a latency. It does not lower the estimate: an endpoint that fails does not look better than
    /// before.
    pub(super) fn end_with_penalty(&self, penalty: Duration, now: Instant) {
        self.in_flight.fetch_sub(1, Relaxed);
        let mut estimate = self.estimate.lock().expect("load lock");
        estimate.sample(Duration::ZERO, now);
        estimate.seconds = estimate.seconds.max(penalty.as_secs_f64());
    }

    /// Returns the load in seconds; reading it lets the estimate decay.
    pub(super) fn current(&self, now: Instant) -> f64 {
        let mut estimate = self.estimate.lock().expect("load lock");
        estimate.sample(Duration::ZERO, now);
        estimate.seconds * (self.in_flight.load(Relaxed) + 1) as f64
    }
}

impl Estimate {
    fn sample(&mut self, latency: Duration, now: Instant) {
        let latency = latency.as_secs_f64();
        if latency > self.seconds {
            self.seconds = latency;
        } else {
            let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
            let weight = (-elapsed / DECAY.as_secs_f64()).exp();
            self.seconds = self.seconds * weight + latency * (1.0 - weight);
        }
        self.updated = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slower_response_replaces_the_estimate_and_a_faster_one_blends_in() {
        let load = Load::new();
        let respond = |millis: u64| {
            load.begin();
            let now = Instant::now();
            load.end(now - Duration::from_millis(millis), now);
        };
        assert!((load.current(Instant::now()) - 0.030).abs() < 1e-9);
        respond(200);
        assert!((load.current(Instant::now()) - 0.200).abs() < 1e-9);
        tokio::time::advance(DECAY).await;
        respond(100);
        let expected = 0.2 * (-1.0f64).exp() + 0.1 * (1.0 - (-1.0f64).exp());
        assert!((load.current(Instant::now()) - expected).abs() < 1e-6);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_flight_multiply_the_load_and_time_without_responses_lowers_it() {
        let load = Load::new();
        load.begin();
        load.begin();
        assert!((load.current(Instant::now()) - 0.090).abs() < 1e-9);
        tokio::time::advance(DECAY * 10).await;
        assert!(load.current(Instant::now()) < 0.001);
    }
}
