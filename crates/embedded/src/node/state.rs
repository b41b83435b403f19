//! The state of a container, and how the status of its pod shows it.

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::object::now;

/// The state of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting { reason: String, message: String },
    Running { since: Time },
    Terminated(Termination),
}

/// The end of one run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Termination {
    pub(super) exit_code: u8,
    pub(super) started: Time,
    pub(super) finished: Time,
    pub(super) container_id: String,
}

/// The status of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) state: State,
    /// The end of the previous run.
    pub(super) last: Option<Termination>,
    pub(super) restarts: u32,
    pub(super) started: bool,
    pub(super) ready: bool,
    /// The id of the current or last run; empty before the first one.
    pub(super) container_id: String,
    /// Whether the restart policy requires another run.
    pub(super) restart_pending: bool,
}

impl Status {
    /// Returns the status before the first run.
    pub(super) fn waiting(reason: &str) -> Self {
        Self {
            state: State::Waiting { reason: reason.to_owned(), message: String::new() },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
            container_id: String::new(),
            restart_pending: false,
        }
    }

    /// Returns the entry of `status.containerStatuses`.
    pub(super) fn to_api(&self, name: &str, image: &str) -> ContainerStatus {
        let has_run = !self.container_id.is_empty();
        ContainerStatus {
            name: name.to_owned(),
            image: image.to_owned(),
            image_id: if has_run { image.to_owned() } else { String::new() },
            container_id: has_run.then(|| self.container_id.clone()),
            ready: self.ready,
            started: Some(self.started),
            restart_count: i32::try_from(self.restarts).unwrap_or(i32::MAX),
            state: Some(self.state.to_api()),
            last_state: Some(ContainerState {
                terminated: self.last.as_ref().map(Termination::to_api),
                ..ContainerState::default()
            }),
            ..ContainerStatus::default()
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Whether the container waits for the start of its first run.
    pub(super) fn is_creating(&self) -> bool {
        matches!(&self.state, State::Waiting { reason, .. } if reason == "ContainerCreating")
    }

    /// Returns the end of the last run, unless another one has started.
    pub(super) fn termination(&self) -> Option<&Termination> {
        match &self.state {
            State::Terminated(end) => Some(end),
            _ => None,
        }
    }

    /// Keeps the end of the last run, before the next state is set.
    pub(super) fn keep_last_termination(&mut self) {
        self.last = self.termination().cloned().or(self.last.take());
    }
}

impl State {
    fn to_api(&self) -> ContainerState {
        let mut state = ContainerState::default();
        match self {
            Self::Waiting { reason, message } => {
                state.waiting = Some(ContainerStateWaiting {
                    reason: Some(reason.clone()),
                    message: (!message.is_empty()).then(|| message.clone()),
                });
            }
            Self::Running { since } => {
                state.running = Some(ContainerStateRunning { started_at: Some(since.clone()) });
            }
            Self::Terminated(end) => state.terminated = Some(end.to_api()),
        }
        state
    }
}

impl Termination {
    /// Returns the end of a run that exits now.
    pub(super) fn now(exit_code: u8, started: Time, container_id: String) -> Self {
        Self { exit_code, started, finished: now(), container_id }
    }

    fn to_api(&self) -> ContainerStateTerminated {
        let reason = if self.exit_code == 0 { "Completed" } else { "Error" };
        ContainerStateTerminated {
            exit_code: i32::from(self.exit_code),
            reason: Some(reason.to_owned()),
            started_at: Some(self.started.clone()),
            finished_at: Some(self.finished.clone()),
            container_id: Some(self.container_id.clone()),
            ..ContainerStateTerminated::default()
        }
    }
}
