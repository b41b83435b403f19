//! What a viewer can do, what the page knows about the controls, and details that events do not have.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

/// A request of a viewer. Each has an equivalent command, which the page shows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Starts the load, or changes its rate.
    Load {
        /// Requests per second.
        rate: f64,
    },
    /// Stops the load.
    StopLoad,
    /// Lets a share of the requests to a service fail.
    Fault {
        /// The service.
        service: String,
        /// The share, in percent.
        percent: u8,
    },
    /// Applies or removes a policy.
    Policy {
        /// Its name in [`State::policies`].
        name: String,
        /// Whether it is to be in force.
        on: bool,
    },
    /// Runs a scenario step by step.
    Run {
        /// Its name in [`State::scenarios`].
        scenario: String,
        /// Whether its short form runs.
        #[serde(default)]
        short: bool,
    },
    /// Starts the next step of the scenario.
    Next,
    /// Ends the scenario. Once it is over, the page shows the lab again.
    StopRun,
    /// Reads the policy in force and the endpoints of a service, for [`Details`].
    Look {
        /// The service.
        service: String,
        /// The variant of the scenario that runs.
        #[serde(default)]
        variant: Option<String>,
    },
}

/// Why a command was not carried out, as the viewer reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDone(pub String);

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotDone {}

/// The result of a command.
pub type Acted<'a> = Pin<Box<dyn Future<Output = Result<(), NotDone>> + Send + 'a>>;

/// Carries out what viewers request, through the functions that the commands use.
pub trait Controls: Send + Sync + 'static {
    /// Carries out a command.
    fn act(&self, command: Command) -> Acted<'_>;
}

/// Where the events come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Something runs, or can be started.
    #[default]
    Live,
    /// A recorded run.
    Replay,
    /// A recorded run inside of the file.
    File,
}

/// The state of the controls.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct State {
    /// Where the events come from.
    pub mode: Mode,
    /// What is shown: the lab, or the file.
    pub title: String,
    /// Whether the controls can be used.
    pub allowed: bool,
    /// Why they cannot.
    pub reason: Option<String>,
    /// The load.
    pub load: Option<Load>,
    /// Services whose failures can be changed.
    pub faults: Vec<Fault>,
    /// Policies that can be applied.
    pub policies: Vec<Policy>,
    /// Scenarios that can be run.
    pub scenarios: Vec<Scenario>,
    /// The scenario that runs.
    pub run: Option<Progress>,
    /// What failed last.
    pub error: Option<String>,
}

/// The load.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Load {
    /// Whether it is sent.
    pub running: bool,
    /// Requests per second.
    pub rate: f64,
    /// The service that gets it.
    pub target: String,
    /// The command that sends the same; `{}` stands for the rate.
    pub command: String,
}

/// How a service fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fault {
    /// The service.
    pub service: String,
    /// The share of requests that fail, in percent.
    pub percent: u8,
    /// The command that sets the same; `{}` stands for the share.
    pub command: String,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it does, one line.
    pub title: String,
    /// Whether it is in force.
    pub on: bool,
    /// The command that applies it.
    pub apply: String,
    /// The command that removes it.
    pub remove: String,
}

/// A scenario or a lesson.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// One line.
    pub title: String,
    /// How long it takes without pauses.
    pub seconds: f64,
    /// The command that runs it.
    pub command: String,
    /// Its short form, if it has one.
    pub short: Option<Short>,
}

/// The short form of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Short {
    /// How long it takes without pauses.
    pub seconds: f64,
    /// The command that runs it.
    pub command: String,
}

/// A scenario that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Its name.
    pub name: String,
    /// One line.
    pub title: String,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The index of the step that runs or is next; the number of steps after the last.
    pub current: usize,
    /// Whether the step waits for [`Command::Next`].
    pub waiting: bool,
    /// Whether it has ended, and everything is restored.
    pub over: bool,
    /// The command that runs it.
    pub command: String,
}

/// A step of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// One line.
    pub title: String,
    /// Shown before the step.
    pub text: Option<String>,
    /// What a learner can answer.
    pub question: Option<String>,
    /// What a speaker may add.
    pub note: Option<String>,
    /// Explains the result.
    pub why: Option<String>,
    /// Its length.
    pub seconds: f64,
}

/// What is known of services apart from events.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Details {
    /// By service; in a variant of a scenario by `VARIANT/SERVICE`.
    pub services: BTreeMap<String, ServiceDetails>,
    /// By call.
    pub edges: Vec<EdgeDetails>,
}

/// What is known of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EdgeDetails {
    /// The client.
    pub from: String,
    /// The service.
    pub to: String,
    /// The median of the latency for the client.
    pub p50_ms: Option<f64>,
    /// The 99th percentile, likewise.
    pub p99_ms: Option<f64>,
    /// Whether all attempts used mutual TLS; none where that is not known.
    pub mutual_tls: Option<bool>,
}

/// What is known of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceDetails {
    /// The policy in force for its clients, one line.
    pub policy: Option<String>,
    /// What is in force for each setting, and why; none before a viewer looked at the service.
    pub policy_text: Option<String>,
    /// The command that prints `policy_text`.
    pub command: Option<String>,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// A pod behind a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Endpoint {
    /// The name of the pod.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// What the circuit breaker of each client does with it.
    pub breakers: Vec<Breaker>,
}

/// What a client's circuit breaker does with an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Breaker {
    /// The pod of the client.
    pub client: String,
    /// The state, as `meshy policy breakers` names it: `ready`, `open`, `failing`, `unknown`.
    pub state: String,
}
