//! The environment of one run of a program.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio_util::sync::CancellationToken;

use crate::logs::Log;
use crate::network::PodNetwork;

/// Environment variables by name.
pub(crate) type Env = BTreeMap<String, String>;

/// What a program receives for one run.
pub(crate) struct Execution {
    /// The pod of the container, as it was when the node admitted it.
    pub(crate) pod: Arc<Pod>,
    /// The container in the pod spec, as events name it: `spec.containers{NAME}`.
    pub(crate) field_path: String,
    /// `command` of the container; empty selects the entrypoint of the image.
    pub(crate) command: Vec<String>,
    /// `args` of the container.
    pub(crate) args: Vec<String>,
    pub(crate) env: Env,
    /// The ports that the container declares.
    pub(crate) ports: Vec<u16>,
    pub(crate) network: PodNetwork,
    /// The log of this run.
    pub(crate) log: Arc<Log>,
    pub(crate) ready: ReadySignal,
    pub(crate) termination: TerminationSignal,
}

#[cfg(test)]
impl Execution {
    /// Returns an execution in a pod of an empty network.
    pub(crate) fn for_test() -> Self {
        let network = PodNetwork::join(&crate::network::Fabric::new(), "default", "test");
        Self {
            pod: Arc::default(),
            field_path: String::new(),
            command: Vec::new(),
            args: Vec::new(),
            env: Env::new(),
            ports: Vec::new(),
            network: network.expect("an address"),
            log: Log::new(),
            ready: ReadySignal::default(),
            termination: TerminationSignal::new(CancellationToken::new(), Duration::from_secs(30)),
        }
    }
}

/// Reports that a program can serve.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadySignal(CancellationToken);

impl ReadySignal {
    pub(crate) fn set(&self) {
        self.0.cancel();
    }

    /// Waits until the program has reported that it can serve.
    pub(crate) async fn wait(&self) {
        self.0.cancelled().await;
    }
}

/// Requests a program to exit, as SIGTERM does.
#[derive(Clone, Debug)]
pub(crate) struct TerminationSignal {
    token: CancellationToken,
    grace_period: Duration,
}

impl TerminationSignal {
    pub(crate) fn new(token: CancellationToken, grace_period: Duration) -> Self {
        Self { token, grace_period }
    }

    /// Waits until the program is requested to exit.
    pub(crate) async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Returns the time between the request and the kill.
    pub(crate) fn grace_period(&self) -> Duration {
        self.grace_period
    }
}
