//! Writes every event of a run and feeds the views.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::subscriber::{self, Feed, Subscriber};
use super::{Event, Kind, MOST_SAMPLES, Results};

/// Records a run: each event is one line of the writer before any view gets it. Clones record the same run.
#[derive(Clone, Debug)]
pub struct Recorder<W> {
    inner: Arc<Mutex<Inner<W>>>,
    started: jiff::Timestamp,
}

#[derive(Debug)]
struct Inner<W> {
    writer: W,
    feeds: Vec<Feed>,
    results: Results,
    last: Duration,
    /// The start of each run that a view which comes later must see.
    head: Vec<Arc<Event>>,
}

/// Events that a view needs although it came after them: far more than a run has before its first step.
const HEAD: usize = 64;

impl<W: Write> Recorder<W> {
    /// Starts to record into `writer` a run that started at `started`.
    pub fn new(writer: W, started: jiff::Timestamp) -> Self {
        let (feeds, results, last, head) = (Vec::new(), Results::default(), Duration::ZERO, Vec::new());
        Self { inner: Arc::new(Mutex::new(Inner { writer, feeds, results, last, head })), started }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<W>> {
        // What a panicking thread leaves is at worst a line that it did not finish, which readers tolerate.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what happened `elapsed` after the start of the run. Times never go back: concurrent callers keep the order
    /// in which they record. More than 500 samples of a tick are thinned out evenly.
    ///
    /// # Errors
    /// The writer fails. The views got the event anyway.
    pub fn record(&self, elapsed: Duration, variant: Option<&str>, mut kind: Kind) -> io::Result<Arc<Event>> {
        if let Kind::Tick(tick) = &mut kind {
            thin(&mut tick.samples);
        }
        let mut inner = self.inner();
        inner.last = inner.last.max(elapsed);
        let event = Arc::new(Event::new(self.started, inner.last, variant, kind));
        let mut line = serde_json::to_vec(event.as_ref())?;
        line.push(b'\n');
        let written = inner.writer.write_all(&line).and_then(|()| inner.writer.flush());
        inner.results.apply(&event);
        if inner.head.len() < HEAD && !matches!(event.kind, Kind::Tick(_)) {
            inner.head.push(event.clone());
        }
        inner.feeds.retain(|feed| feed.send(&event));
        written.map(|()| event)
    }

    /// Adds a view that keeps at most `capacity` waiting events. It first gets the events (without ticks) that the run
    /// began with.
    pub fn subscribe(&self, capacity: usize) -> Subscriber {
        let (feed, subscriber) = subscriber::pair(capacity.max(HEAD));
        let mut inner = self.inner();
        for event in &inner.head {
            feed.send(event);
        }
        inner.feeds.push(feed);
        subscriber
    }

    /// Returns whether a view is attached.
    #[cfg(test)]
    pub(crate) fn is_watched(&self) -> bool {
        !self.inner().feeds.is_empty()
    }

    /// Returns what was measured so far; conditions are judged by it.
    pub fn results(&self) -> Results {
        self.inner().results.clone()
    }
}

/// Keeps 500 samples, evenly spread.
fn thin<T>(samples: &mut Vec<T>) {
    let count = samples.len();
    if count > MOST_SAMPLES {
        let mut number = 0;
        samples.retain(|_| {
            let keep = number * MOST_SAMPLES / count != (number + 1) * MOST_SAMPLES / count;
            number += 1;
            keep
        });
    }
}
