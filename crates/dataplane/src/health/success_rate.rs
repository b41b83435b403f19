//! The share of successes among the responses of the last seconds.

use std::time::Duration;

use tokio::time::Instant;

use crate::policy::SuccessRate;

/// The number of parts of a window; the oldest part leaves it as a whole.
const PARTS: usize = 10;
/// The shortest part.
const MIN_PART: Duration = Duration::from_millis(1);

/// The responses of one endpoint within a window.
pub(super) struct Window {
    settings: SuccessRate,
    start: Instant,
    part: Duration,
    parts: [Part; PARTS],
}

#[derive(Clone, Copy, Default)]
struct Part {
    /// Counted from the start of the window.
    number: u128,
    successes: u32,
    responses: u32,
}

impl Window {
    /// Returns an empty window that begins now.
    pub(super) fn new(settings: SuccessRate, now: Instant) -> Self {
        let part = (settings.window / PARTS as u32).max(MIN_PART);
        Self { settings, start: now, part, parts: [Part::default(); PARTS] }
    }

    /// Records a response; returns whether the rate is now below the threshold, with enough responses.
    pub(super) fn record(&mut self, success: bool, now: Instant) -> bool {
        let number = now.saturating_duration_since(self.start).as_nanos() / self.part.as_nanos();
        let part = &mut self.parts[(number % PARTS as u128) as usize];
        if part.number != number {
            *part = Part { number, ..Part::default() };
        }
        part.responses = part.responses.saturating_add(1);
        part.successes = part.successes.saturating_add(u32::from(success));
        let (mut successes, mut responses) = (0, 0);
        for part in self.parts.iter().filter(|part| number - part.number < PARTS as u128) {
            successes += u64::from(part.successes);
            responses += u64::from(part.responses);
        }
        responses >= u64::from(self.settings.min_responses)
            && (successes as f64) < self.settings.threshold * responses as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> (Window, Instant) {
        let now = Instant::now();
        (Window::new(SuccessRate::default(), now), now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_low_rate_counts_with_at_least_five_responses() {
        let (mut failing, now) = window();
        let below: Vec<_> = (0..5).map(|_| failing.record(false, now)).collect();
        assert_eq!(below, [false, false, false, false, true]);
        let (mut mixed, now) = window();
        for n in 0..40 {
            assert!(!mixed.record(n % 5 != 4, now), "80 % is not below the threshold");
        }
        assert!(mixed.record(false, now));
    }

    #[tokio::test(start_paused = true)]
    async fn responses_leave_the_window_in_parts_of_a_second() {
        let (mut window, start) = window();
        let at = |millis: u64| start + Duration::from_millis(millis);
        for _ in 0..4 {
            window.record(false, at(500));
        }
        assert!(window.record(true, at(9_900)), "four of five failed");
        for _ in 0..3 {
            assert!(!window.record(true, at(10_000)), "the first second has left the window");
        }
        // After a pause, responses count from the beginning.
        let later = at(3_600_000);
        for _ in 0..4 {
            assert!(!window.record(false, later));
        }
        assert!(window.record(false, later));
    }
}
