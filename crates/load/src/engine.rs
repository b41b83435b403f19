//! The open loop: requests start when the plan has them, whatever happened to the earlier ones.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http::HeaderValue;
use meshy_net::{SharedNetwork, Tcp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::connect::{Connector, Open, is_exhausted};
use super::exchange::exchange;
use super::outcome::Outcome;
use super::plan::Plan;
use super::record::Recorder;
use super::report::Report;
use super::summary::{Summary, Tick};
use super::targets::Targets;

/// A request that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// When it was to start, after the start of the load.
    pub intended: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Attempts, where the test service reports them.
    pub attempts: Option<u32>,
    /// From the time at which its latency begins to the last byte of the response.
    pub latency: Duration,
}

/// Receives each request that ended, on the thread that sends.
pub type Observer = Arc<dyn Fn(Ended) + Send + Sync>;

/// What a load resulted in.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What happened to each request.
    pub report: Report,
    /// How long it took; at least the length of the plan, unless it was interrupted.
    pub length: Duration,
    /// Whether it was ended before its time.
    pub interrupted: bool,
}

/// What [`send`] needs besides targets and plan.
pub struct Sending {
    /// What connects.
    pub network: SharedNetwork,
    /// The start of the report: its second 0.
    pub origin: Instant,
    /// When the first request is due.
    pub start: Instant,
    /// Receives what happened; loads that overlap can share it.
    pub recorder: Arc<Mutex<Recorder>>,
    /// Turns true when the load is to end.
    pub stop: watch::Receiver<bool>,
}

/// How long open requests may take after the load was stopped.
const GRACE: Duration = Duration::from_millis(500);

const NO_THREAD: &str = "cannot start the thread that sends the load";

struct Shared {
    observer: Option<Observer>,
    plan: Plan,
    targets: Targets,
    connector: Connector,
    origin: Instant,
    begun: Instant,
    next: AtomicU64,
    run: u64,
    recorder: Arc<Mutex<Recorder>>,
    stop: watch::Receiver<bool>,
}

/// Sends the plan from this machine; `each_second` receives what happened. A `true` in `stop` ends it early; what was counted
/// is kept.
///
/// A latency is counted from the intended start when the connections were busy then, so that a server that stalls is
/// charged for the requests it held up; and from the sending when a connection stood ready, so that it is not charged
/// for this program's timer.
///
/// The requests run on a separate thread: nothing else that this process does, such as a whole embedded cluster, comes
/// between their timers, and no request pays for being woken on another core.
///
/// # Errors
/// The thread or its runtime cannot be made, because this process has no thread or file descriptor left.
pub async fn run(
    targets: impl Into<Targets>,
    plan: Plan,
    stop: watch::Receiver<bool>,
    each_second: impl FnMut(&Tick),
) -> anyhow::Result<Summary> {
    run_observed(targets, plan, stop, each_second, None).await
}

/// As [`run`]; the observer receives each request that ended.
///
/// # Errors
/// As those of [`run`].
pub async fn run_observed(
    targets: impl Into<Targets>,
    plan: Plan,
    stop: watch::Receiver<bool>,
    mut each_second: impl FnMut(&Tick),
    observer: Option<Observer>,
) -> anyhow::Result<Summary> {
    let targets = targets.into();
    let (tell, mut ticks) = mpsc::unbounded_channel();
    let (end, ended) = oneshot::channel();
    let begin = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let summary = runtime.map(|runtime| runtime.block_on(drive(targets, plan, stop, tell, observer)));
        // There is no listener when the caller was dropped.
        let _ = end.send(summary);
    };
    std::thread::Builder::new().name("load".to_owned()).spawn(begin).context(NO_THREAD)?;
    while let Some(tick) = ticks.recv().await {
        each_second(&tick);
    }
    ended.await.expect("the thread of the load does not panic").context(NO_THREAD)
}

/// Sends the plan on the current runtime. The recorder can be read meanwhile.
///
/// Dropping the future closes every connection.
pub async fn send(targets: Targets, plan: Plan, with: Sending) -> Finished {
    let shared = Shared::new((targets, plan), with, None);
    let mut workers = shared.start();
    while workers.join_next().await.is_some() {}
    let (length, interrupted) = shared.length(false);
    let report = shared.recorder().report().clone();
    Finished { report, length, interrupted }
}

async fn drive(
    targets: impl Into<Targets>,
    plan: Plan,
    stop: watch::Receiver<bool>,
    tell: mpsc::UnboundedSender<Tick>,
    observer: Option<Observer>,
) -> Summary {
    let now = Instant::now();
    let with = Sending { network: Arc::new(Tcp), origin: now, start: now, recorder: Arc::default(), stop };
    let shared = Shared::new((targets.into(), plan), with, observer);
    let mut workers = shared.start();
    let second = Duration::from_secs(1);
    let mut seconds = interval_at(shared.begun + second, second);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut dropped = false;
    loop {
        tokio::select! {
            ended = workers.join_next() => if ended.is_none() { break },
            // The caller does not wait for the end any more; the workers end with the set.
            () = tell.closed() => { dropped = true; break }
            _ = seconds.tick() => {
                let tick = shared.recorder().tick(shared.begun.elapsed());
                let _ = tell.send(tick);
            }
        }
    }
    let (length, interrupted) = shared.length(dropped);
    let mut recorder = shared.recorder();
    // The last second is a whole one too, though its last request ends before it.
    let last = recorder.tick(length);
    if last.requests_count > 0 {
        let _ = tell.send(last);
    }
    recorder.report().summary(length, plan.rate, interrupted)
}

async fn work(shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    let mut connections: Vec<Option<Open>> = shared.targets.list().iter().map(|_| None).collect();
    let own_requests = shared.plan.own_requests();
    loop {
        let own = shared.next.fetch_add(1, Ordering::Relaxed);
        if own >= own_requests || *stop.borrow() {
            return;
        }
        let number = shared.plan.share.number(own);
        let intended = shared.begun + shared.plan.due(number);
        let idle = Instant::now() <= intended;
        tokio::select! {
            () = sleep_until(intended) => {}
            // An error means that no process is left who could stop it.
            Ok(_) = stop.wait_for(|stop| *stop) => return,
        }
        if own == 0 {
            shared.recorder().started(intended.elapsed());
        }
        let start = if idle { Instant::now() } else { intended };
        if start.elapsed() >= shared.plan.patience {
            shared.ended(intended, Outcome::NeverSent, None, start.elapsed());
            continue;
        }
        let id = HeaderValue::from_str(&format!("{:016x}{number:016x}", shared.run));
        let id = id.expect("hexadecimal digits");
        let target = shared.targets.of(number);
        let connection = &mut connections[target.0];
        let ended = tokio::select! {
            ended = timeout(shared.plan.patience, exchange(&shared.connector, target, connection, id)) => ended,
            () = stopped_for(&mut stop, GRACE) => return,
        };
        let (outcome, attempts) = match ended {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                (if is_exhausted(&error) { Outcome::ClientError } else { Outcome::Broken }, None)
            }
            Err(_) => (Outcome::TimedOut, None),
        };
        shared.ended(intended, outcome, attempts, start.elapsed());
    }
}

/// Waits until the load was stopped some time ago; for ever if it is not.
async fn stopped_for(stop: &mut watch::Receiver<bool>, time: Duration) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(time).await;
}

impl Shared {
    fn new((targets, plan): (Targets, Plan), with: Sending, observer: Option<Observer>) -> Arc<Self> {
        let connector = Connector::new(with.network, targets.list().len());
        // Different for each run; the standard library seeds its hashers from the system.
        let run = RandomState::new().build_hasher().finish();
        Arc::new(Self {
            observer,
            plan,
            targets,
            connector,
            origin: with.origin,
            begun: with.start,
            next: AtomicU64::new(0),
            run,
            recorder: with.recorder,
            stop: with.stop,
        })
    }

    fn start(self: &Arc<Self>) -> JoinSet<()> {
        let mut workers = JoinSet::new();
        for _ in 0..self.plan.connections.max(1) {
            workers.spawn(work(self.clone()));
        }
        workers
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how long the load was, and whether it was interrupted. The last request ends a little after the last intended
    /// start; the length of the plan is what the rate refers to.
    fn length(&self, dropped: bool) -> (Duration, bool) {
        let interrupted = dropped || *self.stop.borrow();
        let elapsed = self.begun.elapsed();
        (if interrupted { elapsed } else { elapsed.max(self.plan.length) }, interrupted)
    }

    /// Counts a request that ended.
    fn ended(&self, intended: Instant, outcome: Outcome, attempts: Option<u32>, latency: Duration) {
        self.recorder().record(self.origin.elapsed(), outcome, attempts, latency);
        if let Some(observer) = &self.observer {
            observer(Ended { intended: intended - self.begun, outcome, attempts, latency });
        }
    }
}

#[cfg(test)]
mod tests;
