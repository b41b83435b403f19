//! A proxy's own log: the tracing events of one proxy as lines, from a level on.
//!
//! All proxies share a process and its tracing subscriber, so an event belongs to the proxy of its task: [`scope`] runs a
//! connection with the proxy's log, [`spawn`] passes the log on to a new task. There is one subscriber per level, so that
//! an event of a level that no proxy logs costs one comparison.

mod level;
mod subscriber;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;

pub use level::{ParseLogLevelError, parse_log_level};

/// Receives each line of a log, without its line end. Called on the task that logs, so it must not block.
pub type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

/// Where the lines of one proxy go, and from which level on.
///
/// `INFO` has state changes (circuit breakers, fail-fast) and failed requests, `DEBUG` every decision of every request
/// under the request's span, `TRACE` connections as well. Events go to this log and not to the process's subscriber.
#[derive(Clone)]
pub struct ProxyLog {
    level: LevelFilter,
    sink: LogSink,
    started: Instant,
}

tokio::task_local! {
    static CURRENT: ProxyLog;
}

impl ProxyLog {
    /// Returns a log; its lines start with the time since now.
    pub fn new(level: LevelFilter, sink: LogSink) -> Self {
        Self { level, sink, started: Instant::now() }
    }
}

impl fmt::Debug for ProxyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyLog").field("level", &self.level).finish_non_exhaustive()
    }
}

/// Runs a future whose events go to a log, if there is one.
pub(crate) async fn scope<F: Future>(log: Option<&ProxyLog>, future: F) -> F::Output {
    match log.and_then(|log| Some((log, subscriber::dispatch(log.level)?))) {
        Some((log, dispatch)) => {
            Box::pin(CURRENT.scope(log.clone(), future.with_subscriber(dispatch.clone()))).await
        }
        None => future.await,
    }
}

/// Spawns a task whose events go to the log of this task.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    match CURRENT.try_with(ProxyLog::clone) {
        Ok(log) => tokio::spawn(async move { scope(Some(&log), future).await }),
        Err(_) => tokio::spawn(future),
    }
}

/// Spawns hyper's tasks as [`spawn`] does.
#[derive(Clone)]
pub(crate) struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        spawn(future);
    }
}
