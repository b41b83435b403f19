//! One container: its runs, its probes, its log.

mod backoff;
mod probes;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::context::PodContext;
use super::env;
use super::spec::{ContainerList, RestartPolicy, declared_ports, grace_period};
use super::state::{State, Status, Termination};
use crate::events::EventType;
use crate::logs::Log;
use crate::object::{ObjectExt, now};
use crate::program::{Env, Execution, ExitCode, Program, ReadySignal, TerminationSignal};

/// The delay before the second restart; the first one is immediate, as with a kubelet.
const INITIAL_BACKOFF: Duration = Duration::from_secs(10);
/// The longest delay before a restart.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// A run of this length resets the delay.
const BACKOFF_RESET: Duration = Duration::from_secs(600);
/// The exit code of a killed container: 128 plus SIGKILL.
const KILLED: ExitCode = 137;
/// How often a kubelet retries to build the environment of a container.
const SYNC_PERIOD: Duration = Duration::from_secs(2);

/// Runs one container of a pod.
pub(crate) struct ContainerWorker {
    pub(crate) name: String,
    pub(super) image: String,
    list: ContainerList,
    index: usize,
    restart_policy: RestartPolicy,
    status: Mutex<Status>,
    logs: Mutex<Logs>,
    /// Cancelled when the container must exit.
    stop: CancellationToken,
    /// Of an init container: whether the next container of the pod can start.
    completed: watch::Sender<bool>,
}

struct Logs {
    current: Arc<Log>,
    previous: Option<Arc<Log>>,
}

impl ContainerWorker {
    /// Creates the worker of container number `index` in a list of the pod spec.
    pub(super) fn new(
        spec: &Container,
        list: ContainerList,
        index: usize,
        restart_policy: RestartPolicy,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: spec.name.clone(),
            image: spec.image.clone().unwrap_or_default(),
            list,
            index,
            restart_policy,
            status: Mutex::new(Status::waiting("ContainerCreating")),
            logs: Mutex::new(Logs { current: Log::new(), previous: None }),
            stop: CancellationToken::new(),
            completed: watch::Sender::new(false),
        })
    }

    /// Requests a graceful exit.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns the reason why the container waits, if it has not run yet.
    pub(crate) fn waiting_reason(&self) -> Option<String> {
        let status = self.lock();
        match &status.state {
            State::Waiting { reason, .. } if status.container_id.is_empty() => Some(reason.clone()),
            _ => None,
        }
    }

    /// Whether the container is a native sidecar: an init container that keeps running.
    pub(super) fn is_sidecar(&self) -> bool {
        self.list == ContainerList::Init && self.restart_policy == RestartPolicy::Always
    }

    pub(super) fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Watches whether the next container can start: an init container has exited with 0, or a sidecar has started.
    pub(super) fn watch_completed(&self) -> watch::Receiver<bool> {
        self.completed.subscribe()
    }

    /// Returns the log of the current run, or of the previous one.
    pub(crate) fn log(&self, previous: bool) -> Option<Arc<Log>> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if previous { logs.previous.clone() } else { Some(logs.current.clone()) }
    }

    /// Runs the container until it is stopped or its restart policy requires no further run.
    pub(super) async fn run(self: Arc<Self>, context: Arc<PodContext>) {
        let Some(spec) = self.list.of(&context.pod).get(self.index) else { return };
        let program = match context.node.programs.find(&self.image) {
            Ok(program) => program,
            Err(error) => return self.image_pull_backoff(&context, &error.to_string()).await,
        };
        let mut backoff = Duration::ZERO;
        loop {
            let start = Instant::now();
            let Some(env) = self.environment(&context, spec).await else { return };
            let exit_code = self.run_once(&context, spec, program.as_ref(), env).await;
            if self.stop.is_cancelled() || !self.restart_policy.restarts_after(exit_code) {
                return;
            }
            if start.elapsed() > BACKOFF_RESET {
                backoff = Duration::ZERO;
            }
            if !backoff.is_zero() && !self.crash_loop_backoff(&context, backoff).await {
                return;
            }
            backoff = (backoff * 2).clamp(INITIAL_BACKOFF, MAX_BACKOFF);
            self.update(&context, |status| status.restarts += 1);
        }
    }

    /// Builds the environment; waits for missing objects. Returns `None` if the container is stopped first.
    async fn environment(&self, context: &PodContext, spec: &Container) -> Option<Env> {
        loop {
            let info = env::PodInfo {
                pod: &context.pod,
                pod_ip: context.network.address().to_string(),
                node_name: &context.node.node_name,
            };
            let error = match env::environment(&context.node.api, spec, &info) {
                Ok(env) => return Some(env),
                Err(error) => error.to_string(),
            };
            self.set_waiting(context, "CreateContainerConfigError", &error);
            self.event(context, EventType::Warning, "Failed", &format!("Error: {error}")).await;
            if !self.sleep_unless_stopped(SYNC_PERIOD).await {
                return None;
            }
        }
    }

    /// Runs the program once and returns its exit code.
    async fn run_once(
        &self,
        context: &PodContext,
        spec: &Container,
        program: &dyn Program,
        env: Env,
    ) -> ExitCode {
        let stop = self.stop.child_token();
        let execution = self.execution(context, spec, env, stop.clone());
        let (log, ready, termination) =
            (execution.log.clone(), execution.ready.clone(), execution.termination.clone());
        let since = now();
        let container_id = format!("meshy://{:032x}", rand::random::<u128>());
        let run = run_until_killed(program.run(execution), &termination);
        let probes = self.run_probes(context, spec, &stop, &ready);
        self.update(context, |status| {
            status.keep_last_termination();
            status.state = State::Running { since: since.clone() };
            status.container_id.clone_from(&container_id);
        });
        let exit_code = run_with(run, probes, self.start_events(context)).await;
        stop.cancel();
        log.end();
        self.update(context, |status| {
            status.state = State::Terminated(Termination::now(exit_code, since, container_id));
            status.restart_pending = self.restart_policy.restarts_after(exit_code);
            status.ready = false;
            status.started = false;
        });
        if self.list == ContainerList::Init && !self.is_sidecar() && exit_code == 0 {
            self.completed.send_replace(true);
        }
        exit_code
    }

    /// Returns what the program receives for one run.
    fn execution(
        &self,
        context: &PodContext,
        spec: &Container,
        env: Env,
        stop: CancellationToken,
    ) -> Execution {
        let expand = |texts: &Option<Vec<String>>| -> Vec<String> {
            texts.iter().flatten().map(|text| env::expand(text, &env)).collect()
        };
        let execution = Execution {
            pod: context.pod.clone(),
            field_path: self.field_path(),
            command: expand(&spec.command),
            args: expand(&spec.args),
            ports: declared_ports(spec),
            env,
            network: context.network.clone(),
            log: self.start_log(),
            ready: ReadySignal::default(),
            termination: TerminationSignal::new(stop, grace_period(&context.pod)),
        };
        let (pod, name) = (context.pod.name(), &self.name);
        let Execution { command, args, ports, .. } = &execution;
        tracing::debug!(pod, container = name, ?command, ?args, ?ports, "container starts");
        execution
    }

    async fn start_events(&self, context: &PodContext) {
        let (image, name) = (&self.image, &self.name);
        for (reason, message) in [
            ("Pulled", format!("Container image \"{image}\" already present on machine")),
            ("Created", format!("Container created: {name}")),
            ("Started", format!("Container started: {name}")),
        ] {
            self.event(context, EventType::Normal, reason, &message).await;
        }
    }

    /// Sleeps and returns true, or returns false as soon as the container is stopped.
    async fn sleep_unless_stopped(&self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => true,
            () = self.stop.cancelled() => false,
        }
    }

    fn set_waiting(&self, context: &PodContext, reason: &str, message: &str) {
        self.update(context, |status| {
            status.state = State::Waiting { reason: reason.to_owned(), message: message.to_owned() };
        });
    }

    fn start_log(&self) -> Arc<Log> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Log::new();
        let old = std::mem::replace(&mut logs.current, new.clone());
        logs.previous = Some(old).filter(|_| self.lock().restarts > 0);
        new
    }

    /// Records an event about this container.
    pub(super) async fn event(&self, context: &PodContext, type_: EventType, reason: &str, message: &str) {
        context.node.events.record_container(&context.pod, self.field_path(), type_, reason, message).await;
    }

    /// Returns the container in the pod spec, as events name it.
    fn field_path(&self) -> String {
        format!("spec.{}{{{}}}", self.list.field(), self.name)
    }

    fn update(&self, context: &PodContext, change: impl FnOnce(&mut Status)) {
        let changed = {
            let mut status = self.lock();
            let before = status.clone();
            change(&mut status);
            *status != before
        };
        if changed {
            context.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the exit code of a run, with its probes and events running concurrently.
async fn run_with(
    run: impl Future<Output = ExitCode>,
    probes: impl Future<Output = ()>,
    events: impl Future<Output = ()>,
) -> ExitCode {
    let (mut run, mut probes, mut events) = (pin!(run), pin!(probes), pin!(events));
    let (mut probes_done, mut events_done) = (false, false);
    loop {
        tokio::select! {
            exit_code = &mut run => return exit_code,
            () = &mut probes, if !probes_done => probes_done = true,
            () = &mut events, if !events_done => events_done = true,
        }
    }
}

/// Waits for the exit code of a run; drops the run if it does not exit within its grace period.
async fn run_until_killed(run: impl Future<Output = ExitCode>, termination: &TerminationSignal) -> ExitCode {
    let expired = async {
        termination.requested().await;
        sleep(termination.grace_period()).await;
    };
    tokio::select! {
        biased;
        exit_code = run => exit_code,
        () = expired => KILLED,
    }
}
