//! What happened to the environment of a program, as events of its pod.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::outbound::Opened;
use super::ports::Ports;
use crate::events::{EventRecorder, EventType};
use crate::program::Execution;

const COMMAND_IGNORED: &str = "CommandIgnored";
const VARIABLE_REFUSED: &str = "VariableRefused";
const SERVICE_REWRITTEN: &str = "ServiceRewritten";
/// The reason of the event of a program whose environment names no Service.
pub const NO_SERVICE_REWRITTEN: &str = "NoServiceRewritten";
const NOT_LISTENING: &str = "NotListening";
const PORT_ASSIGNED: &str = "PortAssigned";

/// The reasons of the events about the environment of a program, as a command shows them after the pods are ready.
pub const PROGRAM_EVENTS: [&str; 5] =
    [SERVICE_REWRITTEN, NO_SERVICE_REWRITTEN, COMMAND_IGNORED, VARIABLE_REFUSED, NOT_LISTENING];

/// Records events about one container.
#[derive(Clone)]
pub(super) struct Reporter {
    events: EventRecorder,
    pod: Arc<Pod>,
    field_path: String,
}

impl Reporter {
    pub(super) fn new(events: &EventRecorder, execution: &Execution) -> Self {
        Self { events: events.clone(), pod: execution.pod.clone(), field_path: execution.field_path.clone() }
    }

    /// A new run begins: what the last one has reported, such as its ports, does not hold any more.
    pub(super) async fn begin(&self) {
        let reasons = PROGRAM_EVENTS.iter().chain([&PORT_ASSIGNED]).copied().collect::<Vec<_>>();
        self.events.delete_container(&self.pod, &self.field_path, &reasons).await;
    }

    /// The manifest's `command` does not run.
    pub(super) async fn command_ignored(&self, command: &[String]) {
        let shown = command.join(" ");
        let message = format!(
            "`command` of the manifest is ignored: {shown}; the program is the one that `meshy up --program` names"
        );
        self.record(EventType::Normal, COMMAND_IGNORED, &message).await;
    }

    /// Variables of the manifest that the program does not get.
    pub(super) async fn variables_refused(&self, names: &[String]) {
        let names = names.join(", ");
        let message =
            format!("variables that select code are not passed to a program of this machine: {names}");
        self.record(EventType::Warning, VARIABLE_REFUSED, &message).await;
    }

    /// The Services that the environment names, or that it names none. Values are not shown, since they may hold credentials.
    pub(super) async fn rewritten(&self, opened: &[Opened]) {
        for Opened { variable, authority, local } in opened {
            let message = format!("{variable}: {authority} is {local}");
            self.record(EventType::Normal, SERVICE_REWRITTEN, &message).await;
        }
        if opened.is_empty() {
            let message = "no environment value names a Service: calls of this program to Services fail or bypass its proxy";
            self.record(EventType::Normal, NO_SERVICE_REWRITTEN, message).await;
        }
    }

    /// The loopback ports of the container's ports.
    pub(super) async fn ports(&self, ports: &Ports) {
        for (container, local) in ports.pairs() {
            let message = format!("container port {container} is 127.0.0.1:{local}");
            self.record(EventType::Normal, PORT_ASSIGNED, &message).await;
        }
    }

    /// The program does not listen where it should.
    pub(super) async fn not_listening(&self, container: u16, local: u16) {
        let message = format!(
            "the program does not listen on 127.0.0.1:{local}, which is container port {container}: \
             it should read its port from its environment (PORT) or arguments"
        );
        self.record(EventType::Warning, NOT_LISTENING, &message).await;
    }

    async fn record(&self, type_: EventType, reason: &str, message: &str) {
        self.events.record_container(&self.pod, self.field_path.clone(), type_, reason, message).await;
    }
}
