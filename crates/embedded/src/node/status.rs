//! The status of a pod, computed from the status of its containers.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec};

use super::container::ContainerWorker;
use super::state::{State, Status};
use crate::condition;
use crate::object::ObjectExt;

/// Writes the status of the containers into the status of their pod.
pub(super) fn write(object: &mut Pod, init: &[Arc<ContainerWorker>], containers: &[Arc<ContainerWorker>]) {
    let main_status: Vec<_> = containers.iter().map(|container| container.status()).collect();
    let init_status: Vec<_> = init.iter().map(|container| container.status()).collect();
    let init_with_status = || init.iter().zip(&init_status);
    let sidecars_ready =
        init_with_status().all(|(container, status)| !container.is_sidecar() || status.ready);
    let initialized = init_with_status().all(|(container, status)| {
        if container.is_sidecar() {
            status.started
        } else {
            status.termination().is_some_and(|end| end.exit_code == 0)
        }
    });
    let main_ready = !main_status.is_empty() && main_status.iter().all(|status| status.ready);
    let ready = sidecars_ready && initialized && main_ready;
    let message = if ready { String::new() } else { unready_message(containers, &main_status) };

    let is_deleting = object.is_deleting();
    let (generation, qos_class) = (object.metadata.generation, object.spec.as_ref().map(qos_class));
    let status = object.status.get_or_insert_default();
    status.observed_generation = generation;
    status.container_statuses = Some(container_statuses(containers, &main_status, initialized));
    if !init.is_empty() {
        status.init_container_statuses = Some(container_statuses(init, &init_status, true));
    }
    status.qos_class = qos_class.map(str::to_owned);
    status.phase = Some(phase(&main_status, is_deleting).to_owned());
    let reason = |value: bool, reason| if value { "" } else { reason };
    let conditions = &mut status.conditions;
    condition::set(conditions, "PodReadyToStartContainers", true, "", "");
    let not_initialized = reason(initialized, "ContainersNotInitialized");
    condition::set(conditions, "Initialized", initialized, not_initialized, "");
    let not_ready = reason(ready, "ContainersNotReady");
    condition::set(conditions, "ContainersReady", ready, not_ready, &message);
    condition::set(conditions, "Ready", ready, not_ready, &message);
}

fn container_statuses(
    containers: &[Arc<ContainerWorker>],
    statuses: &[Status],
    initialized: bool,
) -> Vec<ContainerStatus> {
    let shown = |(container, status): (&Arc<ContainerWorker>, &Status)| {
        let mut status = status.clone();
        if !initialized && status.is_creating() {
            status.state = State::Waiting { reason: "PodInitializing".to_owned(), message: String::new() };
        }
        status.to_api(&container.name, &container.image)
    };
    containers.iter().zip(statuses).map(shown).collect()
}

fn phase(containers: &[Status], is_deleting: bool) -> &'static str {
    let exited = !containers.is_empty() && containers.iter().all(|status| status.termination().is_some());
    if exited && !containers.iter().any(|status| status.restart_pending) {
        let failed =
            containers.iter().any(|status| status.termination().is_some_and(|end| end.exit_code != 0));
        return if failed { "Failed" } else { "Succeeded" };
    }
    let has_run =
        |status: &Status| status.is_running() || status.restarts > 0 || status.termination().is_some();
    if containers.iter().any(has_run) || (is_deleting && exited) { "Running" } else { "Pending" }
}

fn unready_message(containers: &[Arc<ContainerWorker>], statuses: &[Status]) -> String {
    let unready = containers.iter().zip(statuses).filter(|(_, status)| !status.ready);
    let names: Vec<_> = unready.map(|(container, _)| container.name.as_str()).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("containers with unready status: [{}]", names.join(" "))
    }
}

/// Returns the QoS class of the requests and limits of the containers: Guaranteed, Burstable or BestEffort.
fn qos_class(spec: &PodSpec) -> &'static str {
    let mut any = false;
    let mut guaranteed = !spec.containers.is_empty();
    for resources in spec.containers.iter().map(|container| container.resources.as_ref()) {
        for name in ["cpu", "memory"] {
            let request = resources.and_then(|resources| resources.requests.as_ref()?.get(name));
            let limit = resources.and_then(|resources| resources.limits.as_ref()?.get(name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (guaranteed, any) {
        (true, _) => "Guaranteed",
        (false, true) => "Burstable",
        (false, false) => "BestEffort",
    }
}
