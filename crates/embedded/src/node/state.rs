//! A container's state, as its pod's status shows it.

use serde_json::{Value, json};

use crate::object::now;

/// Where a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not running, and why.
    Waiting { reason: String, message: String },
    /// Running since then.
    Running { since: String },
    /// Ended.
    Terminated(End),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The exit code.
    pub(crate) code: u8,
    /// When it had begun.
    pub(crate) started: String,
    /// When it ended.
    pub(crate) finished: String,
    /// The run's container id.
    pub(crate) id: String,
}

/// All that a container's status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) state: State,
    pub(crate) last: Option<End>,
    pub(crate) restarts: u32,
    pub(crate) started: bool,
    pub(crate) ready: bool,
    pub(crate) id: String,
    /// Its restart policy has another run to come.
    pub(crate) restarts_again: bool,
}

impl Status {
    /// Before anything has happened; `reason` is ContainerCreating or PodInitializing.
    pub(crate) fn waiting(reason: &str) -> Self {
        Self {
            state: State::Waiting { reason: reason.to_owned(), message: String::new() },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
            id: String::new(),
            restarts_again: false,
        }
    }

    /// The entry of `status.containerStatuses`.
    pub(crate) fn write(&self, name: &str, image: &str) -> Value {
        let mut status = json!({
            "name": name,
            "image": image,
            "imageID": if self.id.is_empty() { "" } else { image },
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state.write(),
            "lastState": {},
        });
        if !self.id.is_empty() {
            status["containerID"] = json!(self.id);
        }
        if let Some(last) = &self.last {
            status["lastState"] = json!({ "terminated": last.write() });
        }
        status
    }

    /// Whether it runs.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<&End> {
        match &self.state {
            State::Terminated(end) => Some(end),
            _ => None,
        }
    }
}

impl State {
    fn write(&self) -> Value {
        match self {
            Self::Waiting { reason, message } if message.is_empty() => {
                json!({ "waiting": { "reason": reason } })
            }
            Self::Waiting { reason, message } => {
                json!({ "waiting": { "reason": reason, "message": message } })
            }
            Self::Running { since } => json!({ "running": { "startedAt": since } }),
            Self::Terminated(end) => json!({ "terminated": end.write() }),
        }
    }
}

impl End {
    /// A run that ends now.
    pub(crate) fn now(code: u8, started: &str, id: &str) -> Self {
        Self { code, started: started.to_owned(), finished: now(), id: id.to_owned() }
    }

    fn write(&self) -> Value {
        let reason = if self.code == 0 { "Completed" } else { "Error" };
        json!({
            "exitCode": self.code, "reason": reason, "startedAt": self.started, "finishedAt": self.finished,
            "containerID": self.id,
        })
    }
}
