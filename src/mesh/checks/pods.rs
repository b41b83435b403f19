//! Meshed pods: whether the proxies are ready, and whether the rest of the pods is. An image that cannot be pulled is not the
//! proxy's fault.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use meshy_linkerd::names;

use super::{Finding, Verdict};
use crate::mesh::explain;

/// Evaluates the proxies.
pub(super) fn proxies(pods: &[Pod]) -> Finding {
    let hint = "`meshy inject --explain POD -n NAMESPACE` shows what is wrong with a pod's proxy";
    evaluate(pods, "proxies", hint, |pod| {
        let mut all = statuses(pod);
        all.any(|status| status.name == names::PROXY_CONTAINER && status.ready)
    })
}

/// Evaluates the pods as a whole.
pub(super) fn ready(pods: &[Pod]) -> Finding {
    let hint = "`kubectl describe pod POD -n NAMESPACE` shows its events, `kubectl logs` its log";
    evaluate(pods, "meshed pods", hint, meshy_kube::is_pod_ready)
}

fn evaluate(pods: &[Pod], what: &str, hint: &'static str, fine: impl Fn(&Pod) -> bool) -> Finding {
    let failing: Vec<&Pod> = pods.iter().filter(|pod| !fine(pod)).collect();
    let saw = format!("{} of {} {what} ready", pods.len() - failing.len(), pods.len());
    let Some(first) = failing.first() else { return (Verdict::Ok, saw, None) };
    let namespace = first.namespace().unwrap_or_default();
    let why = why(first).map(|why| format!(": {why}")).unwrap_or_default();
    (Verdict::Failed, format!("{saw}; pod `{}` in `{namespace}`{why}", first.name_any()), Some(hint))
}

/// What a pod waits for, in the words of its status.
fn why(pod: &Pod) -> Option<String> {
    let scheduled = || {
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?.message.clone()
    };
    explain::waiting(pod).into_iter().next().or_else(scheduled)
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status
        .flat_map(|s| s.init_container_statuses.iter().flatten().chain(s.container_statuses.iter().flatten()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(proxy_ready: bool, waiting: Option<(&str, &str)>) -> Pod {
        let ready = proxy_ready && waiting.is_none();
        let mut app = json!({"name": "web", "image": "", "imageID": "", "ready": ready, "restartCount": 0});
        if let Some((reason, message)) = waiting {
            app["state"] = json!({"waiting": {"reason": reason, "message": message}});
        }
        serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "shop"},
            "status": {
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                "containerStatuses": [app],
                "initContainerStatuses": [
                    {"name": "linkerd-proxy", "image": "", "imageID": "", "ready": proxy_ready, "restartCount": 0},
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn an_image_that_cannot_be_pulled_fails_the_pod_and_not_its_proxy() {
        let pods = [pod(true, None), pod(true, Some(("ImagePullBackOff", "registry says no")))];
        assert_eq!(proxies(&pods), (Verdict::Ok, "2 of 2 proxies ready".to_owned(), None));
        let (verdict, saw, hint) = ready(&pods);
        assert_eq!(verdict, Verdict::Failed);
        let wanted = "1 of 2 meshed pods ready; pod `web-1` in `shop`: container `web` waits with ImagePullBackOff: registry \
                      says no";
        assert_eq!(saw, wanted);
        assert!(!hint.unwrap().contains("inject"), "{hint:?}");
    }

    #[test]
    fn a_proxy_that_is_not_ready_fails_both() {
        let pods = [pod(false, None)];
        assert_eq!((proxies(&pods).0, ready(&pods).0), (Verdict::Failed, Verdict::Failed));
        assert!(proxies(&pods).2.unwrap().contains("meshy inject --explain"));
    }
}
