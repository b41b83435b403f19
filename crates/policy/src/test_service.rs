//! The admin port of test services: faults and counts (docs/test-service.md).

use anyhow::Context as _;
use http::Request;
use k8s_openapi::api::core::v1::Pod as Object;
use kube::api::Api;
use meshy_metrics::Pod;
/// The fault documents, which the test service itself defines.
pub use minimal_service::{Delay, Distribution, Fault, FaultChange};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::services::admin;

/// Returns the change that leads to this fault, whatever it is now. A sequence and a seed start from their beginning.
fn change_to(fault: &Fault) -> FaultChange {
    FaultChange {
        quota: Some(fault.quota),
        reject: Some(fault.reject),
        sequence: Some(fault.sequence.clone()),
        seed: Some(fault.seed),
        delay_max: Some(fault.delay_max),
        errors: Some(fault.errors),
        blocks: Some(fault.blocks),
        delay: Some(fault.delay),
        slow: Some(fault.slow),
        down: Some(fault.down),
        reset: false,
        for_seconds: None,
    }
}

/// Returns a fault in few words: `fault 70 %`, `fault 500, 500, 200`, `fault 70 %, slow 3`, `fault off`.
pub fn fault_words(fault: &Fault) -> String {
    if fault.down {
        return "fault down".to_owned();
    }
    let failures = if !fault.sequence.is_empty() {
        let statuses: Vec<String> = fault.sequence.iter().map(u16::to_string).collect();
        Some(statuses.join(", "))
    } else if let Some(errors) = fault.errors {
        (errors > 0.0).then(|| format!("{} %", (errors * 1000.0).round() / 10.0))
    } else {
        let kind = if fault.reject { "" } else { " empty responses" };
        (fault.quota > 0).then(|| format!("{} %{kind}", fault.quota))
    };
    let delay = fault.delay.map(|delay| format!("delay {} ms", delay.mean_ms));
    let longest = (fault.delay_max > 0.0).then(|| format!("delay up to {} s", fault.delay_max));
    let slow = (fault.slow != 1.0).then(|| format!("slow {}", fault.slow));
    let parts: Vec<String> = [failures, delay, longest, slow].into_iter().flatten().collect();
    if parts.is_empty() { "fault off".to_owned() } else { format!("fault {}", parts.join(", ")) }
}

/// Returns the share of requests that fail with a fault, 0 to 1.
pub fn fail_ratio(fault: &Fault) -> f64 {
    if fault.down {
        return 1.0;
    }
    if !fault.sequence.is_empty() {
        let bad = fault.sequence.iter().filter(|status| **status >= 500).count();
        return bad as f64 / fault.sequence.len() as f64;
    }
    let quota = if fault.reject { f64::from(fault.quota) / 100.0 } else { 0.0 };
    fault.errors.unwrap_or(quota)
}

/// The faults of one pod of a test service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PodFault {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) fault: Fault,
}

/// Changes the faults of pods of a test service, all at the same time; returns those of the last one. Without pods these are
/// the faults of a service that has none.
///
/// # Errors
/// Returns an error if a pod cannot be reached or does not run the test service, or if the change is not valid.
pub async fn change_fault(
    client: &kube::Client,
    pods: &[Pod],
    change: &FaultChange,
) -> anyhow::Result<Fault> {
    let body = serde_json::to_vec(change)?;
    let each = pods.iter().map(|pod| {
        let body = body.clone();
        async move { admin::<Fault>(client, pod, Request::put("/fault").body(body)?).await }
    });
    Ok(futures::future::try_join_all(each).await?.pop().unwrap_or_default())
}

/// Returns the faults of the first pod.
///
/// # Errors
/// As [`change_fault`].
pub async fn fault(client: &kube::Client, pods: &[Pod]) -> anyhow::Result<Fault> {
    let pod = pods.first().context("there is no pod to read the faults of")?;
    admin(client, pod, Request::get("/fault").body(Vec::new())?).await
}

/// Returns the faults of each of these pods.
///
/// # Errors
/// As [`change_fault`].
pub(crate) async fn pod_faults(client: &kube::Client, pods: &[Pod]) -> anyhow::Result<Vec<PodFault>> {
    let each = pods.iter().map(|pod| async move {
        let fault = admin(client, pod, Request::get("/fault").body(Vec::new())?).await?;
        anyhow::Ok(PodFault { namespace: pod.namespace.clone(), pod: pod.name.clone(), fault })
    });
    futures::future::try_join_all(each).await
}

/// Restores the faults of a pod; one that is gone took its faults with it. Returns whether anything had to be changed.
///
/// # Errors
/// Returns an error if the API fails or the pod cannot be reached.
pub(crate) async fn restore_fault(client: &kube::Client, before: &PodFault) -> anyhow::Result<bool> {
    let api: Api<Object> = Api::namespaced(client.clone(), &before.namespace);
    let there =
        api.get_opt(&before.pod).await.with_context(|| format!("cannot read pod `{}`", before.pod))?;
    let Some(pod) = there.as_ref().map(Pod::of).filter(|pod| pod.phase == "Running" && !pod.leaving) else {
        return Ok(false);
    };
    let now: Fault = admin(client, &pod, Request::get("/fault").body(Vec::new())?).await?;
    if now == before.fault {
        return Ok(false);
    }
    let request = Request::put("/fault").body(serde_json::to_vec(&change_to(&before.fault))?)?;
    let _: Fault = admin(client, &pod, request).await?;
    Ok(true)
}

/// Returns the counts of each pod of a test service: `GET /counts` (docs/test-service.md).
///
/// # Errors
/// Returns an error if a pod cannot be reached or does not run the test service.
pub async fn counts(client: &kube::Client, pods: &[Pod]) -> anyhow::Result<Vec<Value>> {
    let each = pods.iter().map(|pod| async move {
        admin::<Value>(client, pod, Request::get("/counts").body(Vec::new())?).await
    });
    futures::future::try_join_all(each).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_fault_names_every_field_and_removes_a_seed() {
        let fault = Fault { quota: 20, delay_max: 0.5, ..Fault::default() };
        let change = serde_json::to_value(change_to(&fault)).unwrap();
        let wanted = serde_json::json!({
            "quota": 20, "reject": false, "sequence": [], "seed": null, "delay_max": 0.5, "errors": null,
            "blocks": false, "delay": null, "slow": 1.0, "down": false,
        });
        assert_eq!(change, wanted);
    }

    #[test]
    fn the_words_of_a_fault_name_what_is_set() {
        let quota = Fault { quota: 20, reject: true, ..Fault::default() };
        let errors = Fault { errors: Some(0.7), slow: 3.0, ..quota.clone() };
        let sequence = Fault { sequence: vec![500, 200], ..Fault::default() };
        let empty = Fault { quota: 20, ..Fault::default() };
        let words = [Fault::default(), quota, errors, sequence, empty].map(|fault| fault_words(&fault));
        let wanted =
            ["fault off", "fault 20 %", "fault 70 %, slow 3", "fault 500, 200", "fault 20 % empty responses"];
        assert_eq!(words, wanted);
    }

    #[test]
    fn the_share_of_failures_follows_the_order_in_which_faults_apply() {
        let fault = Fault { quota: 20, reject: true, ..Fault::default() };
        let errors = Fault { errors: Some(0.7), ..fault.clone() };
        let sequence = Fault { sequence: vec![500, 200], ..errors.clone() };
        let down = Fault { down: true, ..sequence.clone() };
        assert_eq!([fault, errors, sequence, down].map(|fault| fail_ratio(&fault)), [0.2, 0.7, 0.5, 1.0]);
    }
}
