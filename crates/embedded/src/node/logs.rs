//! A container's log: the last lines of it, readable while it grows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

/// What is kept of a log, in bytes of text; older lines go.
const KEPT: usize = 128 * 1024;

/// Which part of a log is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Only the last lines.
    pub(crate) tail: Option<usize>,
    /// Only lines since then.
    pub(crate) since: Option<Timestamp>,
    /// Begin each line with its time.
    pub(crate) timestamps: bool,
    /// Go on until the container ends.
    pub(crate) follow: bool,
    /// At most so many bytes.
    pub(crate) limit: Option<usize>,
}

#[derive(Debug)]
struct Line {
    number: u64,
    at: Timestamp,
    text: String,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<Line>,
    bytes: usize,
    next: u64,
    ended: bool,
}

/// One run's log.
#[derive(Debug)]
pub(crate) struct Log {
    lines: Mutex<Lines>,
    grown: watch::Sender<()>,
}

impl Log {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { lines: Mutex::default(), grown: watch::Sender::new(()) })
    }

    /// Adds a line.
    pub(crate) fn write(&self, text: String) {
        {
            let mut lines = self.lines();
            let number = lines.next;
            lines.next += 1;
            lines.bytes += text.len();
            lines.kept.push_back(Line { number, at: Timestamp::now(), text });
            while lines.bytes > KEPT
                && let Some(oldest) = lines.kept.pop_front()
            {
                lines.bytes -= oldest.text.len();
            }
        }
        self.grown.send_replace(());
    }

    /// Ends the log: followers stop after its last line.
    pub(crate) fn end(&self) {
        self.lines().ended = true;
        self.grown.send_replace(());
    }

    /// The wanted lines in chunks of text; the channel closes at the end.
    pub(crate) fn read(self: &Arc<Self>, wanted: Wanted) -> mpsc::Receiver<String> {
        let (sender, receiver) = mpsc::channel(16);
        let log = self.clone();
        tokio::spawn(async move {
            let mut grown = log.grown.subscribe();
            let mut next = log.first(&wanted);
            let mut left = wanted.limit.unwrap_or(usize::MAX);
            loop {
                grown.mark_unchanged();
                let (mut text, ended) = log.since(&mut next, &wanted);
                truncate(&mut text, left);
                left -= text.len();
                if !text.is_empty() && sender.send(text).await.is_err() {
                    return;
                }
                if ended || !wanted.follow || left == 0 {
                    return;
                }
                tokio::select! {
                    _ = grown.changed() => {}
                    () = sender.closed() => return,
                }
            }
        });
        receiver
    }

    fn first(&self, wanted: &Wanted) -> u64 {
        let lines = self.lines();
        let tail = wanted.tail.and_then(|tail| u64::try_from(tail).ok()).unwrap_or(u64::MAX);
        let by_count = lines.next.saturating_sub(tail);
        let by_time = wanted.since.map_or(0, |since| {
            lines.kept.iter().find(|line| line.at >= since).map_or(lines.next, |line| line.number)
        });
        by_count.max(by_time)
    }

    fn since(&self, next: &mut u64, wanted: &Wanted) -> (String, bool) {
        let lines = self.lines();
        let mut text = String::new();
        let start = lines.kept.partition_point(|line| line.number < *next);
        for line in lines.kept.range(start..) {
            if wanted.timestamps {
                text.push_str(&format!("{:.9} ", line.at));
            }
            text.push_str(&line.text);
            text.push('\n');
        }
        *next = lines.next;
        (text, lines.ended)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn truncate(text: &mut String, at_most: usize) {
    if text.len() > at_most {
        let end = (0..=at_most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Log, Wanted};

    async fn all(log: &std::sync::Arc<Log>, wanted: Wanted) -> String {
        let mut chunks = log.read(wanted);
        let mut text = String::new();
        while let Some(chunk) = chunks.recv().await {
            text.push_str(&chunk);
        }
        text
    }

    #[tokio::test]
    async fn the_tail_is_the_last_lines() {
        let log = Log::new();
        (1..=5).for_each(|n| log.write(format!("line {n}")));
        let tail = Wanted { tail: Some(2), ..Wanted::default() };
        assert_eq!(all(&log, tail).await, "line 4\nline 5\n");
        let limited = Wanted { limit: Some(9), ..Wanted::default() };
        assert_eq!(all(&log, limited).await, "line 1\nli");
    }

    #[tokio::test]
    async fn a_follower_gets_each_line_and_ends_with_the_container() {
        let log = Log::new();
        log.write("first".into());
        let mut chunks = log.read(Wanted { follow: true, ..Wanted::default() });
        assert_eq!(chunks.recv().await.as_deref(), Some("first\n"));
        log.write("second".into());
        assert_eq!(chunks.recv().await.as_deref(), Some("second\n"));
        log.end();
        assert_eq!(chunks.recv().await, None);
    }

    #[tokio::test]
    async fn a_long_log_forgets_its_beginning() {
        let log = Log::new();
        (0..1000).for_each(|_| log.write("x".repeat(1024)));
        assert!(all(&log, Wanted::default()).await.len() <= KEPT + 1024);
    }
}
