//! The fields of a pod spec that the kubelet decides by.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::program::ExitCode;

/// The grace period of a pod that sets none.
const DEFAULT_GRACE_PERIOD_SECONDS: i64 = 30;

/// When a container is restarted after it exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    /// Reads the `restartPolicy` of a pod; the default is `Always`.
    pub(super) fn of_pod(policy: Option<&str>) -> Self {
        match policy {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }

    pub(super) fn restarts_after(self, exit_code: ExitCode) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// The list of a pod spec that a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContainerList {
    Init,
    Main,
}

impl ContainerList {
    /// Returns the containers of the list.
    pub(super) fn of(self, pod: &Pod) -> &[Container] {
        let Some(spec) = &pod.spec else { return &[] };
        match self {
            Self::Init => spec.init_containers.as_deref().unwrap_or_default(),
            Self::Main => &spec.containers,
        }
    }

    /// Returns the name of the list in the pod spec.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Init => "initContainers",
            Self::Main => "containers",
        }
    }
}

/// Returns the grace period of the containers of a pod.
pub(super) fn grace_period(pod: &Pod) -> Duration {
    let seconds = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    Duration::from_secs(seconds.unwrap_or(DEFAULT_GRACE_PERIOD_SECONDS).max(0).unsigned_abs())
}

/// Returns the ports that a container declares.
pub(super) fn declared_ports(spec: &Container) -> Vec<u16> {
    let ports = spec.ports.iter().flatten();
    ports.filter_map(|port| u16::try_from(port.container_port).ok()).collect()
}
