//! Gives memory back to the operating system after a peak.
//!
//! After writes of 3 MiB glibc kept 214 of 335 MiB: free memory between live blocks of each thread's arena, which it
//! returns only when asked. The API's log of changes had most of the rest.

use std::time::Duration;

use meshy_apiserver::LocalClient;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::task;

/// How often the process is measured.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum processor time of an idle process between two measurements. A lab with a viewer needs 5 % of a core.
const IDLE: Duration = Duration::from_millis(400);
/// Memory may grow by an eighth, and by this many KiB, before it is given back: less than an eighth of a new lab.
const MIN_GROWTH: u64 = 1024;
/// Processor time after which memory is given back again, while that returns much; a write of 3 MiB needs as much in a release.
const MIN_WORK: Duration = Duration::from_millis(100);
/// The same if nearly all of the memory was live the last times.
const MAX_WORK: Duration = Duration::from_secs(10);

/// What the process uses at one moment.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// Resident memory without files, in KiB.
    memory: u64,
    /// Processor time since the start.
    processor: Duration,
}

/// Finds the moments when a peak is over.
#[derive(Debug)]
struct Peaks {
    /// The least memory so far.
    base: u64,
    /// Processor time at the last measurement.
    processor: Duration,
    /// Processor time since memory was given back.
    worked: Duration,
    /// Processor time until memory is given back again.
    needed: Duration,
}

impl Peaks {
    fn starting_at(usage: Usage) -> Self {
        let Usage { memory, processor } = usage;
        Self { base: memory, processor, worked: Duration::ZERO, needed: MIN_WORK }
    }

    /// Returns whether the process has worked, was idle since the last measurement, and has more memory than it once needed.
    fn is_over(&mut self, now: Usage) -> bool {
        let used = now.processor.saturating_sub(self.processor);
        self.processor = now.processor;
        self.worked += used;
        self.base = self.base.min(now.memory);
        let grown = now.memory > self.base + (self.base / 8).max(MIN_GROWTH);
        used <= IDLE && self.worked >= self.needed && grown
    }

    /// Notes what was left after memory was given back. On a busy machine a process can have looked idle in the middle of a request, so that it
    /// is tried again after more work; less and less often if nearly all of the memory is live.
    fn given_back(&mut self, before: Usage, left: Usage) {
        let is_live = left.memory + left.memory / 8 > before.memory;
        self.needed = if is_live { (2 * self.needed).min(MAX_WORK) } else { MIN_WORK };
        self.worked = Duration::ZERO;
        self.processor = left.processor;
        self.base = self.base.min(left.memory);
    }
}

/// Starts the task that gives memory back. Elsewhere than on Linux it ends at once.
pub(crate) fn start(api: LocalClient, tasks: &mut JoinSet<()>) {
    task::start(tasks, async move {
        let Some(mut peaks) = usage().map(Peaks::starting_at) else { return };
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(now) = usage() else { return };
            if !peaks.is_over(now) {
                continue;
            }
            api.forget_peak();
            // It takes the lock of each arena in turn: milliseconds, more after a peak of gigabytes.
            let _ = tokio::task::spawn_blocking(trim).await;
            let Some(left) = usage() else { return };
            tracing::debug!(before_kib = now.memory, after_kib = left.memory, "memory given back");
            peaks.given_back(now, left);
        }
    });
}

/// Returns what this process uses; `None` without `/proc` of Linux.
fn usage() -> Option<Usage> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    read(&status, &stat)
}

/// Reads `/proc/PID/status` and `/proc/PID/stat`.
fn read(status: &str, stat: &str) -> Option<Usage> {
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let memory = memory.split_whitespace().next()?.parse().ok()?;
    // The name of the program in parentheses is the second field; user and system time are the 14th and 15th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    // Linux reports processor time in hundredths of a second on all its platforms.
    let processor = Duration::from_millis(10 * (ticks()? + ticks()?));
    Some(Usage { memory, processor })
}

/// Returns free memory of the allocator to the operating system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call of the C library without arguments that could be wrong")]
fn trim() {
    // SAFETY: it may be called from any thread at any time and keeps live blocks.
    unsafe { libc::malloc_trim(0) };
}

/// No other allocator has such a call.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(memory: u64, processor_ms: u64) -> Usage {
        Usage { memory, processor: Duration::from_millis(processor_ms) }
    }

    #[test]
    fn peak_is_over_when_the_process_is_idle_and_has_more_memory_than_before() {
        let mut peaks = Peaks::starting_at(usage(14_000, 0));
        assert!(!peaks.is_over(usage(14_000, 300)), "nothing to give back");
        assert!(!peaks.is_over(usage(300_000, 2300)), "busy");
        assert!(peaks.is_over(usage(330_000, 2310)));
        peaks.given_back(usage(330_000, 2310), usage(15_000, 2320));
        assert!(!peaks.is_over(usage(30_000, 2330)), "no work since");
        assert!(!peaks.is_over(usage(15_700, 2530)), "within an eighth");
        assert!(peaks.is_over(usage(30_000, 2540)));
    }

    #[test]
    fn memory_is_given_back_again_after_a_request_in_which_a_starved_process_was_taken_for_idle() {
        let mut peaks = Peaks::starting_at(usage(14_000, 0));
        assert!(peaks.is_over(usage(100_000, 300)), "in the middle of a request");
        peaks.given_back(usage(100_000, 300), usage(95_000, 310));
        assert!(!peaks.is_over(usage(108_000, 1500)), "busy");
        assert!(peaks.is_over(usage(108_000, 1510)));
    }

    #[test]
    fn live_memory_is_given_back_less_and_less_often() {
        let (mut peaks, mut times) = (Peaks::starting_at(usage(14_000, 0)), Vec::new());
        for processor in (0..60_000).step_by(20) {
            let now = usage(200_000, processor);
            if peaks.is_over(now) {
                peaks.given_back(now, now);
                times.push(processor);
            }
        }
        assert_eq!(times[..4], [100, 300, 700, 1500]);
        let intervals: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(intervals.is_sorted() && intervals.last() == Some(&10_000), "{intervals:?}");
    }

    #[test]
    fn usage_is_read_from_proc() {
        let status = "Name:\tmeshy\nVmRSS:\t  900 kB\nRssAnon:\t   500 kB\nRssFile:\t 400 kB\n";
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 100 1000 200";
        let usage = read(status, stat).expect("both values");
        assert_eq!((usage.memory, usage.processor), (500, Duration::from_secs(2)));
        assert!(read("Name:\tmeshy\n", stat).is_none() && read(status, "7 (a) S 1").is_none());
    }

    /// Blocks below the size that glibc maps on their own, with one in a hundred kept, as the log of changes leaves them.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn free_memory_between_live_blocks_is_returned() {
        let mut blocks: Vec<Option<Vec<u8>>> = (0..200_000).map(|_| Some(vec![1; 1000])).collect();
        let full = super::usage().expect("Linux").memory;
        blocks.iter_mut().enumerate().filter(|(n, _)| n % 100 != 0).for_each(|(_, block)| *block = None);
        trim();
        let left = super::usage().expect("Linux").memory;
        // 200 MB were allocated; each live block keeps its page, and other tests run at the same time.
        assert!(left + 100_000 < full, "{full} KiB, then {left} KiB");
        assert_eq!(blocks.iter().flatten().count(), 2000);
    }
}
