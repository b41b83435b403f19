//! The test services from outside: their pods, their faults, their own counts.

use meshy_kube::failure;
use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use http::Request;
use k8s_openapi::api::core::v1::{Namespace, Pod as Object, Service};
use kube::api::{Api, ListParams};
use serde::Deserialize;

use crate::service_check::{absent, selector};
use meshy_base::error::{self, Advise, Exit};
use meshy_metrics::{Pod, PodFailure, pod_request};

/// The port that is in no Service.
const ADMIN_PORT: u16 = 9091;

#[derive(Debug, Default, Deserialize)]
struct Counts {
    #[serde(default)]
    served: BTreeMap<u32, u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Ids {
    ids: BTreeMap<String, (u32, bool)>,
    forgotten: u64,
}

/// A pod runs another application than the test service.
#[derive(Debug, thiserror::Error)]
#[error("pod `{pod}` does not run meshy's test service: {why}")]
pub struct NotTestService {
    /// Its name.
    pub pod: String,
    /// What it does instead.
    pub why: String,
}

/// A service is there, and none of its pods runs.
#[derive(Debug, thiserror::Error)]
#[error("no pod of service `{0}` runs")]
pub struct NoPods(pub String);

/// What the replicas of a test service saw so far, to be compared with a later look.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceIds {
    /// One replica gets every attempt: successful responses by the number of their attempts.
    Counted(BTreeMap<u32, u64>),
    /// Several see a part of a request's attempts each: the attempts of each id over all of them, and whether one was good.
    Summed {
        /// By the id's hash.
        ids: BTreeMap<String, (u32, bool)>,
        /// Ids that a replica has forgotten; when the number grows, attempts are missing.
        forgotten: u64,
    },
}

impl ServiceIds {
    /// Returns what replicas of this kind have seen before their first request.
    #[must_use]
    pub fn nothing(&self) -> Self {
        match self {
            Self::Counted(_) => Self::Counted(BTreeMap::new()),
            Self::Summed { .. } => Self::Summed { ids: BTreeMap::new(), forgotten: 0 },
        }
    }

    /// Successful responses between two readings, by the number of their attempts; none where a replica no longer has all of them.
    pub fn since(&self, before: &Self) -> Option<BTreeMap<u32, u64>> {
        match (before, self) {
            (Self::Counted(before), Self::Counted(after)) => {
                let change = |(number, now): (&u32, &u64)| {
                    let then = before.get(number).copied().unwrap_or(0);
                    (*number, now.checked_sub(then).unwrap_or(*now))
                };
                Some(after.iter().map(change).filter(|(_, count)| *count > 0).collect())
            }
            (Self::Summed { ids: old, forgotten: then }, Self::Summed { ids, forgotten }) => {
                if forgotten != then {
                    return None;
                }
                let mut served = BTreeMap::new();
                let good_before = |id: &String| old.get(id).is_some_and(|(_, good)| *good);
                for (id, (attempts, good)) in ids {
                    if *good && !good_before(id) {
                        *served.entry(*attempts).or_default() += 1;
                    }
                }
                Some(served)
            }
            _ => None,
        }
    }
}

/// The running pods behind a service.
///
/// # Errors
/// There is no such service, it selects nothing, or none of its pods runs; the API fails.
pub async fn pods(client: &kube::Client, namespace: &str, name: &str) -> anyhow::Result<Vec<Pod>> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let Some(service) = services.get_opt(name).await.context("cannot read the service")? else {
        return Err(absent(client, namespace, name).await);
    };
    if labels(&service).is_none() {
        return Err(anyhow!("service `{name}` selects no pods"));
    }
    let running = running(client, namespace, &service).await?;
    if running.is_empty() {
        return Err(NoPods(name.to_owned())).hint("`meshy status` shows what is missing");
    }
    Ok(running)
}

/// The services of a namespace that select pods, in the order of their names, with the pods of each that run.
///
/// # Errors
/// The API fails.
pub async fn with_pods(client: &kube::Client, namespace: &str) -> anyhow::Result<Vec<(String, Vec<Pod>)>> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let list = services.list(&ListParams::default()).await.context("cannot list services")?;
    let mut found = Vec::new();
    for service in list.items {
        let Some(name) = service.metadata.name.clone().filter(|_| labels(&service).is_some()) else {
            continue;
        };
        found.push((name, running(client, namespace, &service).await?));
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// Checks that a namespace is there. A user without the right to read namespaces cannot know.
///
/// # Errors
/// It is not there; the API fails.
pub async fn namespace(client: &kube::Client, name: &str) -> anyhow::Result<()> {
    match has_namespace(client, name).await? {
        Some(false) => Err(anyhow!("there is no namespace `{name}`"))
            .hint("`meshy stat ns` lists those with pods")
            .exit(Exit::Usage),
        Some(true) | None => Ok(()),
    }
}

/// Returns whether a namespace is there; none for a user without the right to read it.
///
/// # Errors
/// The API fails.
pub async fn has_namespace(client: &kube::Client, name: &str) -> anyhow::Result<Option<bool>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.get_metadata_opt(name).await {
        Ok(found) => Ok(Some(found.is_some())),
        Err(error) if failure::is_forbidden(&error) => Ok(None),
        Err(error) => Err(error).context("cannot read the namespace"),
    }
}

fn labels(service: &Service) -> Option<String> {
    selector(service.spec.as_ref()?)
}

async fn running(client: &kube::Client, namespace: &str, service: &Service) -> anyhow::Result<Vec<Pod>> {
    let selector = labels(service).unwrap_or_default();
    let api: Api<Object> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default().labels(&selector)).await.context("cannot list pods")?;
    let pods = list.items.iter().map(Pod::of);
    Ok(pods.filter(|pod| pod.phase == "Running" && !pod.leaving).collect())
}

/// What the replicas have seen so far.
///
/// # Errors
/// A pod cannot be reached, or does not run the test service; with several replicas also those of an image older than the path `/ids`.
pub async fn seen(client: &kube::Client, pods: &[Pod]) -> anyhow::Result<ServiceIds> {
    if let [pod] = pods {
        let counts: Counts = admin(client, pod, Request::get("/counts").body(Vec::new())?).await?;
        return Ok(ServiceIds::Counted(counts.served));
    }
    let ask = |pod| async move { admin::<Ids>(client, pod, Request::get("/ids").body(Vec::new())?).await };
    Ok(summed(futures::future::try_join_all(pods.iter().map(ask)).await?))
}

fn summed(replicas: Vec<Ids>) -> ServiceIds {
    let mut ids: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    let mut forgotten = 0;
    for replica in replicas {
        forgotten += replica.forgotten;
        for (id, (attempts, good)) in replica.ids {
            let sum = ids.entry(id).or_default();
            *sum = (sum.0 + attempts, sum.1 || good);
        }
    }
    ServiceIds::Summed { ids, forgotten }
}

pub(crate) async fn admin<T: for<'a> Deserialize<'a>>(
    client: &kube::Client,
    pod: &Pod,
    request: Request<Vec<u8>>,
) -> anyhow::Result<T> {
    let not_ours = |why: String| {
        let error = NotTestService { pod: pod.name.clone(), why };
        Err(error).hint("only meshy's own test service has an admin port")
    };
    match pod_request(client, &pod.namespace, &pod.name, ADMIN_PORT, request).await {
        Ok(body) => serde_json::from_str(&body).or_else(|error| not_ours(error.to_string())),
        Err(error) => match error::cause::<PodFailure>(&error) {
            Some(failure) => not_ours(failure.to_string()),
            None => Err(error).with_context(|| format!("cannot reach the admin port of pod `{}`", pod.name)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(ids: &[(&str, u32, bool)], forgotten: u64) -> Ids {
        let ids = ids.iter().map(|(id, attempts, good)| ((*id).to_owned(), (*attempts, *good)));
        Ids { ids: ids.collect(), forgotten }
    }

    #[test]
    fn the_attempts_of_a_request_are_summed_over_the_replicas() {
        let before = summed(vec![replica(&[("old", 1, true)], 0), replica(&[], 0)]);
        let after = summed(vec![
            replica(&[("old", 1, true), ("a", 2, false), ("b", 1, true), ("c", 1, false)], 0),
            replica(&[("a", 1, true), ("c", 4, false)], 0),
        ]);
        assert_eq!(after.since(&before), Some([(1, 1), (3, 1)].into()));
        let forgot = summed(vec![replica(&[("a", 1, true)], 5)]);
        assert_eq!(forgot.since(&before), None);
    }

    #[test]
    fn a_replica_that_started_again_counts_from_zero() {
        let counted = |counts: &[(u32, u64)]| ServiceIds::Counted(counts.iter().copied().collect());
        let served = counted(&[(1, 7), (2, 1)]).since(&counted(&[(1, 5), (2, 4)]));
        assert_eq!(served, Some([(1, 2), (2, 1)].into()));
    }
}
