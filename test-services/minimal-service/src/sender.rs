//! The second role of the image: a sender, whose load is controlled on the admin port.
//!
//! ```text
//!   ADMIN_PORT ── admin ── Sender ── load (one plan) ── network ──▶ targets
//! ```
//!
//! It serves no other port. The messages are those of `meshy_load::protocol`.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use meshy_load::protocol::{LEASE, Progress, SenderPlan, State, Status};
use meshy_load::{Recorder, Sending, TargetSpec, send};
use meshy_net::{BoxIo, SharedNetwork};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::Config;
use crate::state::Logs;

mod admin;

/// The most connections of the admin port; more wait in the backlog of the listener.
const MAX_CONNECTIONS: usize = 16;

/// A connection that does not send a complete request head for this long is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the connections of the admin port share.
struct Sender {
    network: SharedNetwork,
    logs: Logs,
    job: Mutex<Option<Job>>,
    /// Receives the plan.
    plans: mpsc::UnboundedSender<(SenderPlan, Load)>,
    /// When the last request arrived.
    contact: watch::Sender<Instant>,
}

/// The plan of this sender and what became of it.
struct Job {
    plan: SenderPlan,
    load: Load,
}

/// A load that runs. Clones are of the same load.
#[derive(Clone)]
struct Load {
    recorder: Arc<Mutex<Recorder>>,
    ended: watch::Sender<bool>,
    stop: watch::Sender<bool>,
}

/// The run whose plan this sender has, where another plan arrives.
#[derive(Debug, thiserror::Error)]
#[error("this sender already has the plan of run `{0}`")]
struct OtherPlan(String);

/// Serves until `shutdown` resolves or the controller is gone; returns the exit code of the container.
pub(crate) async fn run(
    config: Config,
    network: SharedNetwork,
    logs: Logs,
    shutdown: impl Future<Output = ()> + std::marker::Send,
) -> u8 {
    let mut listener = match network.listen(([0, 0, 0, 0], config.admin_port).into()).await {
        Ok(listener) => listener,
        Err(error) => {
            logs(format!("ERROR cannot listen on admin port {}: {error}", config.admin_port));
            return 1;
        }
    };
    logs(format!("INFO admin listens on {}", listener.local_addr()));
    let (plans, mut received) = mpsc::unbounded_channel();
    let contact = watch::Sender::new(Instant::now());
    let sender = Arc::new(Sender { network, logs: logs.clone(), job: Mutex::default(), plans, contact });
    let serving = async {
        // The set is owned by this future, so dropping the future closes the connections.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(serve(sender.clone(), stream))),
                    Err(error) => {
                        logs(format!("ERROR cannot accept a connection on the admin port: {error}"));
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    };
    let sending = async {
        while let Some((plan, load)) = received.recv().await {
            sender.send(&plan, &load).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serving => 0,
        () = sending => 0,
        () = shutdown => { logs("INFO shutdown requested".to_owned()); 0 }
        () = sender.abandoned() => {
            logs(format!("INFO no request for {} s, the controller is gone", LEASE.as_secs()));
            0
        }
    }
}

async fn serve(sender: Arc<Sender>, stream: BoxIo) {
    let respond = |request| {
        let sender = sender.clone();
        async move {
            sender.contact.send_replace(Instant::now());
            Ok::<_, std::convert::Infallible>(admin::respond(&sender, request).await)
        }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service_fn(respond));
    // An error is caused by the client, which closed the connection or sent invalid HTTP.
    let _ = connection.await;
}

impl Sender {
    /// Waits until no request has arrived for [`LEASE`].
    async fn abandoned(&self) {
        loop {
            let end = *self.contact.borrow() + LEASE;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }

    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the load of a plan.
    async fn send(&self, plan: &SenderPlan, load: &Load) {
        let (now, unix) = (Instant::now(), unix_micros());
        let wait = Duration::from_micros(plan.start_unix_micros.saturating_sub(unix));
        // After the agreed start, the requests that are due already start at once, and their lateness is reported.
        let behind = Duration::from_micros(unix.saturating_sub(plan.start_unix_micros));
        let origin = now.checked_sub(behind).unwrap_or(now) + wait;
        let (requests, share) = (plan.own_requests(), plan.share);
        (self.logs)(format!("INFO {requests} requests, share {} of {}", share.index + 1, share.of));
        let mut parts = JoinSet::new();
        for part in &plan.parts {
            // Checked when the plan arrived.
            let Ok(targets) = TargetSpec::targets(&plan.targets) else { continue };
            let with = Sending {
                network: self.network.clone(),
                origin,
                start: origin + Duration::from_millis(part.after_ms),
                recorder: load.recorder.clone(),
                stop: load.stop.subscribe(),
            };
            parts.spawn(send(targets, plan.plan(part), with));
        }
        while parts.join_next().await.is_some() {}
        load.ended.send_replace(true);
        (self.logs)(format!("INFO {} requests ended", load.recorder().report().requests()));
    }

    /// Returns the status of this sender.
    fn status(&self) -> Status {
        let state = self.job().as_ref().map_or(State::Idle, |job| job.load.state());
        Status { state, now_unix_micros: unix_micros() }
    }

    /// Takes a plan, unless it has another one.
    fn take(&self, plan: SenderPlan) -> Result<Status, OtherPlan> {
        let mut job = self.job();
        match job.as_ref() {
            Some(other) if other.plan != plan => {
                return Err(OtherPlan(other.plan.run.clone()));
            }
            Some(_) => {}
            None => {
                let (ended, stop) = (watch::Sender::new(false), watch::Sender::new(false));
                let load = Load { recorder: Arc::default(), ended, stop };
                // The receiver lives as long as this sender.
                let _ = self.plans.send((plan.clone(), load.clone()));
                *job = Some(Job { plan, load });
            }
        }
        drop(job);
        Ok(self.status())
    }

    /// Stops the load.
    fn stop(&self) -> Status {
        if let Some(job) = self.job().as_ref() {
            job.load.stop.send_replace(true);
        }
        self.status()
    }

    /// Returns what was sent so far, without the seconds before `from`.
    fn progress(&self, from: u32) -> Option<Progress> {
        let job = self.job();
        let job = job.as_ref()?;
        // Read before the report: what it says last is then complete.
        let state = job.load.state();
        let recorder = job.load.recorder();
        let late = recorder.late().map(|late| u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
        Some(Progress {
            state,
            started_unix_micros: late.map(|late| job.plan.start_unix_micros.saturating_add(late)),
            interrupted: *job.load.stop.borrow(),
            report: recorder.report().since(from),
        })
    }
}

impl Load {
    fn state(&self) -> State {
        if *self.ended.borrow() { State::Ended } else { State::Running }
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
