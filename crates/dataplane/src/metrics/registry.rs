//! Families of series: found or created by their labels, incremented without a lock, rendered as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::labels::Labels;

/// A series that is not in use is removed after this time without a change; Linkerd's default.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// A kind of series.
pub(crate) trait Series: Send + Sync {
    /// The kind in the `# TYPE` line.
    const KIND: &'static str;
    /// Returns a number that differs whenever the series changed.
    fn version(&self) -> u64;
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
    version: u64,
    changed: Instant,
}

impl<T: Series> Family<T> {
    pub(crate) fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, series: Mutex::default() }
    }

    /// Returns the series with these labels, created by `create` the first time.
    pub(crate) fn get_or(&self, labels: &Labels, create: impl FnOnce() -> T) -> Arc<T> {
        let mut series = self.series.lock().expect("metrics lock");
        if let Some(entry) = series.get(labels) {
            return entry.value.clone();
        }
        let value = Arc::new(create());
        series.insert(labels.clone(), Entry { value: value.clone(), version: 0, changed: Instant::now() });
        value
    }

    pub(super) fn render(&self, out: &mut String) {
        let mut series = self.series.lock().expect("metrics lock");
        let now = Instant::now();
        series.retain(|_, entry| {
            let version = entry.value.version();
            if version != entry.version {
                (entry.version, entry.changed) = (version, now);
            }
            Arc::strong_count(&entry.value) > 1 || now.duration_since(entry.changed) < IDLE_TIMEOUT
        });
        if series.is_empty() {
            return;
        }
        // Linkerd keeps `_total` in the type line of all families but these, which its OpenMetrics library writes.
        let open_metrics = self.name.starts_with("outbound_") && self.name != "outbound_http_errors_total"
            || matches!(self.name, "inbound_http_requests_total" | "inbound_http_statuses_total");
        let type_name = if open_metrics { self.name.trim_end_matches("_total") } else { self.name };
        let _ = writeln!(out, "# HELP {type_name} {}\n# TYPE {type_name} {}", self.help, T::KIND);
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

/// A number that only increases.
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

    fn version(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let _ = writeln!(out, "{name}{{{labels}}} {}", self.0.load(Relaxed));
    }
}

/// A number that increases and decreases.
#[derive(Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }
}

impl Series for Gauge {
    const KIND: &'static str = "gauge";

    fn version(&self) -> u64 {
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
    async fn an_unused_series_is_removed_after_ten_minutes_without_a_change() {
        let family: Family<Counter> = Family::new("some_total", "some");
        let text = || {
            let mut out = String::new();
            family.render(&mut out);
            out
        };
        let used = family.get(&Labels::new().with("a", "used"));
        family.get(&Labels::new().with("a", "unused")).inc();
        assert!(text().contains("some_total{a=\"unused\"} 1"));
        tokio::time::advance(IDLE_TIMEOUT + Duration::from_secs(1)).await;
        assert!(!text().contains("unused"), "{}", text());
        used.inc();
        assert!(text().contains("some_total{a=\"used\"} 1"));
    }
}
