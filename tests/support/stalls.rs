//! How much time a busy machine takes from a program.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Measures how late the machine wakes a thread that sleeps: on one that is busy with other work a process waits for a core
/// as long, and that time is not the program's.
pub(crate) struct Stalls(u64);

impl Stalls {
    pub(crate) fn begin() -> Self {
        static CLOCK: Once = Once::new();
        CLOCK.call_once(|| drop(thread::spawn(clock)));
        Self(LATE.load(Ordering::Relaxed))
    }

    pub(crate) fn end(self) -> Duration {
        Duration::from_micros(LATE.load(Ordering::Relaxed) - self.0)
    }
}

/// The lateness of all ticks so far, in microseconds.
static LATE: AtomicU64 = AtomicU64::new(0);

fn clock() {
    const TICK: Duration = Duration::from_millis(5);
    /// A machine with nothing else to do is late by less.
    const USUAL: Duration = Duration::from_millis(1);
    loop {
        let begun = Instant::now();
        thread::sleep(TICK);
        let late = begun.elapsed().saturating_sub(TICK + USUAL);
        LATE.fetch_add(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
