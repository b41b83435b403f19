//! The last seconds again and again: a window that moves on with each scrape.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Snapshots of the last seconds; the oldest is the start of the window.
#[derive(Debug)]
pub struct Rolling<T> {
    length: Duration,
    past: VecDeque<(Instant, T)>,
}

impl<T> Rolling<T> {
    /// How long the window waits between two scrapes.
    pub const STEP: Duration = Duration::from_secs(1);

    /// Returns a window that grows to this length and then moves.
    pub fn new(length: Duration) -> Self {
        Self { length, past: VecDeque::new() }
    }

    /// Adds a snapshot of now and drops those that the window does not reach back to any more. The window starts at the youngest
    /// snapshot that is at least as old as it is long, else at the oldest.
    pub fn push(&mut self, snapshot: T) {
        let now = Instant::now();
        self.past.push_back((now, snapshot));
        while self.past.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= self.length) {
            self.past.pop_front();
        }
    }

    /// Returns the snapshots at the start and at the end; none before there are two.
    pub fn ends(&self) -> Option<(&T, &T)> {
        let ((_, first), (_, last)) = (self.past.front()?, self.past.back()?);
        (self.past.len() > 1).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_grows_to_its_length_and_moves_on_each_second() {
        let mut rolling = Rolling::new(Duration::from_secs(3));
        let mut ends = Vec::new();
        for second in 0..6 {
            rolling.push(second);
            ends.push(rolling.ends().map(|(first, last)| (*first, *last)));
            tokio::time::sleep(Rolling::<u32>::STEP).await;
        }
        assert_eq!(ends, [None, Some((0, 1)), Some((0, 2)), Some((0, 3)), Some((1, 4)), Some((2, 5))]);
    }
}
