//! The tracing subscribers behind the logs: one per level, each writes to the log of the current task.

use std::fmt;
use std::io;
use std::sync::OnceLock;

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;

use super::CURRENT;

/// Returns the subscriber of a level, `None` for `OFF`.
pub(super) fn dispatch(level: LevelFilter) -> Option<&'static Dispatch> {
    static DISPATCHES: [OnceLock<Dispatch>; 5] = [const { OnceLock::new() }; 5];
    const LEVELS: [LevelFilter; 5] =
        [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];
    let index = LEVELS.iter().position(|one| *one == level)?;
    Some(DISPATCHES[index].get_or_init(|| {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(CurrentLog::default)
            .with_timer(Uptime)
            .with_ansi(false)
            .with_target(false);
        let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
        Dispatch::new(tracing_subscriber::registry().with(lines.with_filter(own)))
    }))
}

/// Writes each event, which is one write, to the sink of the current task's log.
#[derive(Default)]
struct CurrentLog;

impl io::Write for CurrentLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let _ = CURRENT.try_with(|log| (log.sink)(text.trim_end()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Seconds since the start of the proxy, in the format of Linkerd's log.
struct Uptime;

impl FormatTime for Uptime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let uptime = CURRENT.try_with(|log| log.started.elapsed()).unwrap_or_default();
        write!(writer, "[{:>12.6}s]", uptime.as_secs_f64())
    }
}
