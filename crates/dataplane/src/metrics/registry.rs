//! Families of series: found or made by their labels, counted without a lock, rendered as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::labels::Labels;

/// After this long without a change a series that nobody holds disappears, as in Linkerd.
const IDLE: Duration = Duration::from_secs(600);

/// Something a series can be.
pub(crate) trait Series: Send + Sync {
    /// The word after `# TYPE`.
    const KIND: &'static str;
    /// A number that differs whenever the series changed.
    fn stamp(&self) -> u64;
    /// Writes the series' lines.
    fn write(&self, name: &str, labels: &str, out: &mut String);
}

/// Series of one name.
pub(crate) struct Family<T> {
    name: &'static str,
    help: &'static str,
    series: Mutex<BTreeMap<Labels, Entry<T>>>,
}

struct Entry<T> {
    value: Arc<T>,
    stamp: u64,
    changed: Instant,
}

impl<T: Series> Family<T> {
    pub(crate) fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, series: Mutex::default() }
    }

    /// The series with these labels, made by `make` the first time.
    pub(crate) fn get_or(&self, labels: &Labels, make: impl FnOnce() -> T) -> Arc<T> {
        let mut series = self.series.lock().expect("metrics lock");
        if let Some(entry) = series.get(labels) {
            return entry.value.clone();
        }
        let value = Arc::new(make());
        series.insert(labels.clone(), Entry { value: value.clone(), stamp: 0, changed: Instant::now() });
        value
    }

    pub(super) fn render(&self, out: &mut String) {
        let mut series = self.series.lock().expect("metrics lock");
        let now = Instant::now();
        series.retain(|_, entry| {
            let stamp = entry.value.stamp();
            if stamp != entry.stamp {
                (entry.stamp, entry.changed) = (stamp, now);
            }
            Arc::strong_count(&entry.value) > 1 || now.duration_since(entry.changed) < IDLE
        });
        if series.is_empty() {
            return;
        }
        // Linkerd's older families keep `_total` in the type line, its newer ones (the OpenMetrics library's) do not.
        let typed =
            if self.name.starts_with("outbound_") { self.name.trim_end_matches("_total") } else { self.name };
        let _ = writeln!(out, "# HELP {typed} {}\n# TYPE {typed} {}", self.help, T::KIND);
        for (labels, entry) in series.iter() {
            entry.value.write(self.name, labels.as_str(), out);
        }
    }
}

impl<T: Series + Default> Family<T> {
    pub(crate) fn get(&self, labels: &Labels) -> Arc<T> {
        self.get_or(labels, T::default)
    }
}

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
}

impl Series for Counter {
    const KIND: &'static str = "counter";

    fn stamp(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let _ = writeln!(out, "{name}{{{labels}}} {}", self.0.load(Relaxed));
    }
}

/// A number that goes up and down.
#[derive(Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }
}

impl Series for Gauge {
    const KIND: &'static str = "gauge";

    fn stamp(&self) -> u64 {
        self.0.load(Relaxed) as u64
    }

    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let _ = writeln!(out, "{name}{{{labels}}} {}", self.0.load(Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_series_that_nobody_holds_disappears_after_ten_minutes_without_a_change() {
        let family: Family<Counter> = Family::new("some_total", "some");
        let text = || {
            let mut out = String::new();
            family.render(&mut out);
            out
        };
        let held = family.get(&Labels::new().with("a", "held"));
        family.get(&Labels::new().with("a", "left")).inc();
        assert!(text().contains("some_total{a=\"left\"} 1"));
        tokio::time::advance(IDLE + Duration::from_secs(1)).await;
        assert!(!text().contains("left"), "{}", text());
        held.inc();
        assert!(text().contains("some_total{a=\"held\"} 1"));
    }
}
