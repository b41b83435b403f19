//! The log of a container: its last lines, readable while it grows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

/// The bytes of text that a log keeps; older lines are dropped.
const MAX_BYTES: usize = 128 * 1024;

/// Which part of a log is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogQuery {
    /// Only this number of last lines.
    pub(crate) tail: Option<usize>,
    /// Only lines from this time on.
    pub(crate) since: Option<Timestamp>,
    /// Start each line with its time.
    pub(crate) timestamps: bool,
    /// Continue until the container exits.
    pub(crate) follow: bool,
    /// At most this number of bytes.
    pub(crate) limit: Option<usize>,
}

#[derive(Debug)]
struct Line {
    number: u64,
    time: Timestamp,
    text: String,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<Line>,
    bytes: usize,
    next: u64,
    ended: bool,
}

/// The log of one run of a container.
#[derive(Debug)]
pub(crate) struct Log {
    lines: Mutex<Lines>,
    grown: watch::Sender<()>,
}

impl Log {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { lines: Mutex::default(), grown: watch::Sender::new(()) })
    }

    /// Appends a line, without its line end.
    pub(crate) fn write(&self, text: String) {
        {
            let mut lines = self.lines();
            let number = lines.next;
            lines.next += 1;
            lines.bytes += text.len();
            lines.kept.push_back(Line { number, time: Timestamp::now(), text });
            while lines.bytes > MAX_BYTES
                && let Some(oldest) = lines.kept.pop_front()
            {
                lines.bytes -= oldest.text.len();
            }
        }
        self.grown.send_replace(());
    }

    /// Ends the log: readers that follow it stop after its last line.
    pub(crate) fn end(&self) {
        self.lines().ended = true;
        self.grown.send_replace(());
    }

    /// Reads lines as chunks of text; the channel closes at the end.
    pub(crate) fn read(self: &Arc<Self>, query: LogQuery) -> mpsc::Receiver<String> {
        let (sender, receiver) = mpsc::channel(16);
        let log = self.clone();
        tokio::spawn(async move {
            let mut grown = log.grown.subscribe();
            let mut next = log.first(&query);
            let mut left = query.limit.unwrap_or(usize::MAX);
            loop {
                grown.mark_unchanged();
                let (mut text, ended) = log.read_from(&mut next, &query);
                truncate(&mut text, left);
                left -= text.len();
                if !text.is_empty() && sender.send(text).await.is_err() {
                    return;
                }
                if ended || !query.follow || left == 0 {
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

    /// Returns the number of the first line that a query reads.
    fn first(&self, query: &LogQuery) -> u64 {
        let lines = self.lines();
        let tail = query.tail.and_then(|tail| u64::try_from(tail).ok()).unwrap_or(u64::MAX);
        let by_count = lines.next.saturating_sub(tail);
        let by_time = query.since.map_or(0, |since| {
            lines.kept.iter().find(|line| line.time >= since).map_or(lines.next, |line| line.number)
        });
        by_count.max(by_time)
    }

    /// Returns the lines from number `next` on, and whether the log has ended.
    fn read_from(&self, next: &mut u64, query: &LogQuery) -> (String, bool) {
        let lines = self.lines();
        let mut text = String::new();
        let start = lines.kept.partition_point(|line| line.number < *next);
        for line in lines.kept.range(start..) {
            if query.timestamps {
                text.push_str(&format!("{:.9} ", line.time));
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

fn truncate(text: &mut String, max_bytes: usize) {
    if text.len() > max_bytes {
        let end = (0..=max_bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Log, LogQuery, MAX_BYTES};

    async fn read(log: &Arc<Log>, query: LogQuery) -> String {
        let mut chunks = log.read(query);
        let mut text = String::new();
        while let Some(chunk) = chunks.recv().await {
            text.push_str(&chunk);
        }
        text
    }

    #[tokio::test]
    async fn tail_and_limit_select_a_part_of_the_log() {
        let log = Log::new();
        (1..=5).for_each(|n| log.write(format!("line {n}")));
        let tail = LogQuery { tail: Some(2), ..LogQuery::default() };
        assert_eq!(read(&log, tail).await, "line 4\nline 5\n");
        let limited = LogQuery { limit: Some(9), ..LogQuery::default() };
        assert_eq!(read(&log, limited).await, "line 1\nli");
    }

    #[tokio::test]
    async fn following_a_log_ends_when_the_container_exits() {
        let log = Log::new();
        log.write("first".into());
        let mut chunks = log.read(LogQuery { follow: true, ..LogQuery::default() });
        assert_eq!(chunks.recv().await.as_deref(), Some("first\n"));
        log.write("second".into());
        assert_eq!(chunks.recv().await.as_deref(), Some("second\n"));
        log.end();
        assert_eq!(chunks.recv().await, None);
    }

    #[tokio::test]
    async fn a_long_log_drops_its_oldest_lines() {
        let log = Log::new();
        (0..1000).for_each(|_| log.write("x".repeat(1024)));
        assert!(read(&log, LogQuery::default()).await.len() <= MAX_BYTES + 1024);
    }
}
