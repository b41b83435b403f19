//! The test services from outside: their pods, their faults, their own counts.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use http::Request;
use k8s_openapi::api::core::v1::{Pod as Object, Service};
use kube::api::{Api, ListParams};
use serde::{Deserialize, Serialize};

use crate::error::{Advise, Exit};
use crate::metrics::{Pod, ask};

/// The port that is in no Service.
const ADMIN_PORT: u16 = 9091;

/// The service of the seed that fails.
pub const BOUNCED: &str = "bounced-service";

/// A change of how a test service fails, as its admin port takes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultChange {
    /// Percent of requests that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<u8>,
    /// Fail with 500, not with an empty 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject: Option<bool>,
    /// Statuses given in turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Vec<u16>>,
    /// What chance starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// How a test service fails now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Percent of requests that fail.
    pub quota: u8,
    /// They fail with 500.
    pub reject: bool,
    /// Statuses given in turn instead.
    pub sequence: Vec<u16>,
}

impl Fault {
    /// The chance that a request fails.
    pub fn ratio(&self) -> f64 {
        if self.sequence.is_empty() {
            return if self.reject { f64::from(self.quota) / 100.0 } else { 0.0 };
        }
        let bad = self.sequence.iter().filter(|status| **status >= 500).count();
        bad as f64 / self.sequence.len() as f64
    }
}

#[derive(Debug, Default, Deserialize)]
struct Counts {
    #[serde(default)]
    served: BTreeMap<u32, u64>,
}

/// The names of a namespace's services that select pods, in order.
///
/// # Errors
/// The API fails.
pub async fn names(client: &kube::Client, namespace: &str) -> anyhow::Result<Vec<String>> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let list = services.list(&ListParams::default()).await.context("cannot list services")?;
    let selecting = list.items.into_iter().filter(|s| s.spec.as_ref().is_some_and(|s| s.selector.is_some()));
    let mut names: Vec<String> = selecting.filter_map(|service| service.metadata.name).collect();
    names.sort();
    Ok(names)
}

/// The running pods behind a service.
///
/// # Errors
/// There is no such service, it selects nothing, or none of its pods runs.
pub async fn pods(client: &kube::Client, namespace: &str, name: &str) -> anyhow::Result<Vec<Pod>> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let Some(service) = services.get_opt(name).await.context("cannot read services")? else {
        let all = services.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        let names: Vec<String> = all.into_iter().filter_map(|service| service.metadata.name).collect();
        return Err(anyhow!("there is no service `{name}` in namespace `{namespace}`"))
            .hint(format!("there are: {}", names.join(", ")))
            .exit(Exit::Failed);
    };
    let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
    if selector.is_empty() {
        return Err(anyhow!("service `{name}` selects no pods"));
    }
    let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let api: Api<Object> = Api::namespaced(client.clone(), namespace);
    let list =
        api.list(&ListParams::default().labels(&selector.join(","))).await.context("cannot list pods")?;
    let pods: Vec<Pod> = list.items.iter().map(Pod::of).collect();
    let running: Vec<Pod> = pods.into_iter().filter(|pod| pod.phase == "Running" && !pod.leaving).collect();
    if running.is_empty() {
        return Err(anyhow!("no pod of service `{name}` runs")).hint("`meshy status` shows what is missing");
    }
    Ok(running)
}

/// Changes how all replicas of a test service fail; gives what the last one says it does now.
///
/// # Errors
/// A pod cannot be reached, or is no test service.
pub async fn change_fault(
    client: &kube::Client,
    pods: &[Pod],
    change: &FaultChange,
) -> anyhow::Result<Fault> {
    let mut now = Fault::default();
    for pod in pods {
        let request = Request::put("/fault").body(serde_json::to_vec(change)?)?;
        now = admin(client, pod, request).await?;
    }
    Ok(now)
}

/// How the first replica fails.
///
/// # Errors
/// As [`change_fault`].
pub async fn fault(client: &kube::Client, pods: &[Pod]) -> anyhow::Result<Fault> {
    let pod = pods.first().context("there is no pod to ask")?;
    admin(client, pod, Request::get("/fault").body(Vec::new())?).await
}

/// Good answers by the number of their try. With several replicas each counts the tries that it saw itself, so there the
/// numbers would be too low: none.
///
/// # Errors
/// As [`change_fault`].
pub async fn served(client: &kube::Client, pods: &[Pod]) -> anyhow::Result<Option<BTreeMap<u32, u64>>> {
    let [pod] = pods else { return Ok(None) };
    let counts: Counts = admin(client, pod, Request::get("/counts").body(Vec::new())?).await?;
    Ok(Some(counts.served))
}

/// What was served between two counts.
pub fn served_since(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>) -> BTreeMap<u32, u64> {
    let change = |(number, now): (&u32, &u64)| {
        let then = before.get(number).copied().unwrap_or(0);
        (*number, now.checked_sub(then).unwrap_or(*now))
    };
    after.iter().map(change).filter(|(_, count)| *count > 0).collect()
}

async fn admin<T: for<'a> Deserialize<'a>>(
    client: &kube::Client,
    pod: &Pod,
    request: Request<Vec<u8>>,
) -> anyhow::Result<T> {
    let answer = ask(client, &pod.namespace, &pod.name, ADMIN_PORT, request)
        .await
        .with_context(|| format!("cannot reach the admin port of pod `{}`", pod.name))
        .hint("only meshy's own test service has one")?;
    serde_json::from_str(&answer)
        .with_context(|| format!("cannot understand the admin port of `{}`", pod.name))
}
