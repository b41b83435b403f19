//! One container: its runs one after another, its probes, its log.

mod probes;
mod waits;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::images::{Program, program};
use super::logs::Log;
use super::state::{End, State, Status};
use super::{Node, env, programs};
use crate::api::{EVENT_NORMAL, EVENT_WARNING};
use crate::network::PodNetwork;
use crate::object::{now, text};

/// The first pause between restarts; the second run begins at once, as with a kubelet.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause between restarts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A run of this length makes the next failure a first one again.
const STEADY: Duration = Duration::from_secs(600);

/// When a container is started again after it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    Always,
    OnFailure,
    Never,
}

impl Restart {
    /// From a pod's or a container's `restartPolicy`.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "OnFailure" => Self::OnFailure,
            "Never" => Self::Never,
            _ => Self::Always,
        }
    }

    fn again(self, code: u8) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// The pod a container belongs to, as far as it needs it.
pub(crate) struct Home {
    pub(crate) node: Arc<Node>,
    pub(crate) pod: crate::api::Object,
    pub(crate) network: PodNetwork,
    /// Told at each change of a container's status.
    pub(crate) changed: Arc<Notify>,
}

/// One container of a pod.
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    place: &'static str,
    index: usize,
    restart: Restart,
    status: Mutex<Status>,
    runs: Mutex<(Arc<Log>, Option<Arc<Log>>)>,
    /// Asked to end: true ends the run in good order.
    stop: CancellationToken,
    ready: watch::Sender<bool>,
}

impl Container {
    /// Container number `index` of the pod's list `place` (`containers` or `initContainers`).
    pub(crate) fn new(spec: &Value, place: &'static str, index: usize, restart: Restart) -> Arc<Self> {
        Arc::new(Self {
            name: text(spec, "/name").to_owned(),
            image: text(spec, "/image").to_owned(),
            place,
            index,
            restart,
            status: Mutex::new(Status::waiting("ContainerCreating")),
            runs: Mutex::new((Log::new(), None)),
            stop: CancellationToken::new(),
            ready: watch::Sender::new(false),
        })
    }

    /// Asks it to end in good order.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Why there is no run yet whose log could be read.
    pub(crate) fn waits_for(&self) -> Option<String> {
        let status = self.lock();
        match &status.state {
            State::Waiting { reason, .. } if status.id.is_empty() => Some(reason.clone()),
            _ => None,
        }
    }

    /// Whether it is a native sidecar: an init container that stays.
    pub(crate) fn is_sidecar(&self) -> bool {
        self.place == "initContainers" && self.restart == Restart::Always
    }

    /// What its status says now.
    pub(crate) fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Follows whether it is started (an init container: past) or ready.
    pub(crate) fn watch_ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// The log of the present run, or of the one before.
    pub(crate) fn log(&self, previous: bool) -> Option<Arc<Log>> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if previous { runs.1.clone() } else { Some(runs.0.clone()) }
    }

    /// Runs it until it is asked to stop or is not to be restarted.
    pub(crate) async fn live(self: Arc<Self>, home: Arc<Home>) {
        let program = match program(&self.image) {
            Ok(program) => program,
            Err(message) => return self.cannot_pull(&home, &message).await,
        };
        let mut pause = Duration::ZERO;
        loop {
            let began = Instant::now();
            let Some(code) = self.once(&home, program).await else { return };
            if self.stop.is_cancelled() || !self.restart.again(code) {
                return;
            }
            if began.elapsed() > STEADY {
                pause = Duration::ZERO;
            }
            if !pause.is_zero() && !self.back_off(&home, pause).await {
                return;
            }
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.set(&home, |status| status.restarts += 1);
        }
    }

    /// One run to its end, and its exit code; none when it was stopped before it could begin.
    async fn once(&self, home: &Arc<Home>, program: Program) -> Option<u8> {
        let spec = &home.pod["spec"][self.place][self.index];
        let env = loop {
            let around = env::Surroundings {
                pod: &home.pod,
                pod_ip: home.network.address().to_string(),
                node: &home.node.name,
            };
            match env::environment(&home.node.api, spec, &around) {
                Ok(env) => break env,
                Err(message) => {
                    self.wait_as(home, "CreateContainerConfigError", &message);
                    self.event(home, EVENT_WARNING, "Failed", &format!("Error: {message}")).await;
                    // A kubelet looks again at each sync; nothing tells when the missing object comes.
                    if !self.pause(Duration::from_secs(2)).await {
                        return None;
                    }
                }
            }
        };
        let log = self.new_log();
        let since = now();
        let id = format!("meshy://{:032x}", rand::random::<u128>());
        let stop = self.stop.child_token();
        let run = programs::run(program, home, env, log.clone(), stop.clone());
        let probes = self.probes(home, spec, &stop);
        self.set(home, |status| {
            status.last = status.end().cloned().or(status.last.take());
            status.state = State::Running { since: since.clone() };
            status.id.clone_from(&id);
        });
        // The events must not keep the run waiting.
        let told = async {
            let image = &self.image;
            let pulled = format!("Container image \"{image}\" already present on machine");
            self.event(home, EVENT_NORMAL, "Pulled", &pulled).await;
            self.event(home, EVENT_NORMAL, "Created", &format!("Container created: {}", self.name)).await;
            self.event(home, EVENT_NORMAL, "Started", &format!("Container started: {}", self.name)).await;
            std::future::pending::<()>().await;
        };
        let code = until_over(run, probes, told).await;
        stop.cancel();
        log.end();
        self.set(home, |status| {
            let end = End::now(code, &since, &id);
            status.state = State::Terminated(end);
            status.restarts_again = self.restart.again(code);
            status.ready = false;
            status.started = false;
        });
        // An init container that has done its work lets the next one begin.
        self.ready
            .send_replace(self.place == "initContainers" && code == 0 && self.restart != Restart::Always);
        Some(code)
    }

    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => true,
            () = self.stop.cancelled() => false,
        }
    }

    fn wait_as(&self, home: &Home, reason: &str, message: &str) {
        self.set(home, |status| {
            status.state = State::Waiting { reason: reason.to_owned(), message: message.to_owned() };
        });
    }

    fn new_log(&self) -> Arc<Log> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Log::new();
        let old = std::mem::replace(&mut runs.0, fresh.clone());
        runs.1 = Some(old).filter(|_| self.lock().restarts > 0);
        fresh
    }

    async fn event(&self, home: &Home, kind: &str, reason: &str, message: &str) {
        home.node.api.pod_event(&home.pod, self.place, &self.name, kind, reason, message).await;
    }

    fn set(&self, home: &Home, change: impl FnOnce(&mut Status)) {
        let changed = {
            let mut status = self.lock();
            let before = status.clone();
            change(&mut status);
            *status != before
        };
        if changed {
            home.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run's exit code, with what goes on beside it as long as it runs.
async fn until_over(
    run: impl Future<Output = u8>,
    probes: impl Future<Output = ()>,
    told: impl Future<Output = ()>,
) -> u8 {
    let (mut run, mut probes, mut told) = (pin!(run), pin!(probes), pin!(told));
    let (mut probed, mut spoke) = (false, false);
    loop {
        tokio::select! {
            code = &mut run => return code,
            () = &mut probes, if !probed => probed = true,
            () = &mut told, if !spoke => spoke = true,
        }
    }
}
