//! A pod's status, put together from its containers'.

use serde_json::{Value, json};

use super::container::Container;
use super::pod::Pod;
use super::state::State;
use crate::object::{is_deleting, set_condition};

/// Writes what is known into a pod; tells whether that changed it.
pub(super) fn write(object: &mut Value, pod: &Pod) -> bool {
    let before = object["status"].clone();
    let main: Vec<_> = pod.containers.iter().map(|container| container.status()).collect();
    let init: Vec<_> = pod.init.iter().map(|container| container.status()).collect();
    let sidecars_ready =
        pod.init.iter().zip(&init).all(|(container, status)| !container.is_sidecar() || status.ready);
    let initialized = pod.init.iter().zip(&init).all(|(container, status)| {
        if container.is_sidecar() { status.started } else { status.end().is_some_and(|end| end.code == 0) }
    });
    let all_ready =
        sidecars_ready && initialized && !main.is_empty() && main.iter().all(|status| status.ready);

    object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
    if object["status"]["observedGeneration"].is_null()
        && let Some(status) = object["status"].as_object_mut()
    {
        status.remove("observedGeneration");
    }
    object["status"]["containerStatuses"] = statuses(&pod.containers, initialized);
    if !pod.init.is_empty() {
        object["status"]["initContainerStatuses"] = statuses(&pod.init, true);
    }
    object["status"]["qosClass"] = json!(qos(&object["spec"]));
    object["status"]["phase"] = json!(phase(&main, is_deleting(object)));
    let failed = |ready: bool| if ready { "" } else { "ContainersNotReady" };
    let waiting = if all_ready { String::new() } else { unready(pod, &main) };
    set_condition(object, "PodReadyToStartContainers", true, "", "");
    set_condition(
        object,
        "Initialized",
        initialized,
        if initialized { "" } else { "ContainersNotInitialized" },
        "",
    );
    set_condition(object, "ContainersReady", all_ready, failed(all_ready), &waiting);
    set_condition(object, "Ready", all_ready, failed(all_ready), &waiting);
    object["status"] != before
}

fn statuses(containers: &[std::sync::Arc<Container>], may_begin: bool) -> Value {
    containers
        .iter()
        .map(|container| {
            let mut status = container.status();
            if !may_begin
                && matches!(&status.state, State::Waiting { reason, .. } if reason == "ContainerCreating")
            {
                status.state =
                    State::Waiting { reason: "PodInitializing".to_owned(), message: String::new() };
            }
            status.write(&container.name, &container.image)
        })
        .collect()
}

fn phase(main: &[super::state::Status], ending: bool) -> &'static str {
    let over = !main.is_empty() && main.iter().all(|status| status.end().is_some());
    if over && !main.iter().any(|status| status.restarts_again) {
        let failed = main.iter().any(|status| status.end().is_some_and(|end| end.code != 0));
        return if failed { "Failed" } else { "Succeeded" };
    }
    let begun =
        main.iter().any(|status| status.is_running() || status.restarts > 0 || status.end().is_some());
    if begun || (ending && over) { "Running" } else { "Pending" }
}

fn unready(pod: &Pod, main: &[super::state::Status]) -> String {
    let names: Vec<_> = pod
        .containers
        .iter()
        .zip(main)
        .filter(|(_, status)| !status.ready)
        .map(|(container, _)| container.name.as_str())
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("containers with unready status: [{}]", names.join(" "))
    }
}

/// Guaranteed, Burstable or BestEffort, by the containers' requests and limits.
fn qos(spec: &Value) -> &'static str {
    let containers = crate::object::list(spec, "/containers");
    let has = |container: &Value, part: &str, name: &str| {
        container.pointer(&format!("/resources/{part}/{name}")).cloned()
    };
    let mut any = false;
    let mut guaranteed = !containers.is_empty();
    for container in containers {
        for name in ["cpu", "memory"] {
            let (request, limit) = (has(container, "requests", name), has(container, "limits", name));
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
