//! Waits by watch: until a set of objects is ready, with the reason on the deadline and an early end on what time does not cure.

use crate::failure;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::workload::Workload;
use super::manifest::{describe, kind};
use super::readiness::{failed, pods, unmet_condition};
use super::{Kinds, Object};
use meshy_base::Step;
use meshy_base::error::{Advise, AdviseError, Exit};
use meshy_base::limit;

#[cfg(test)]
mod tests;
mod workload;

/// The page of the error for an image that the nodes cannot get.
pub const IMAGE_UNAVAILABLE: &str = "image-unavailable";

/// How often a wait looks at the clock; news come by themselves.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often discovery is read while a new kind is waited for.
const SERVED: Duration = Duration::from_millis(50);

/// Waits until all objects are ready: workloads rolled out, definitions established, other kinds at once. Shows on `step`
/// what it waits for.
///
/// # Errors
/// Time ran out (naming the unmet condition of each object), an object is gone, or a pod has a failure that waiting does not fix
/// (with the event or log line that reports why).
pub async fn ready(
    kinds: &Kinds,
    objects: &[Object],
    deadline: Instant,
    step: Option<&Step>,
) -> anyhow::Result<()> {
    let reasons = Reasons { all: Mutex::default(), step };
    let each = objects.iter().filter(|o| has_conditions(kind(o)));
    let waits = each.map(|object| {
        let reasons = &reasons;
        async move {
            one(kinds, object, reasons).await?;
            reasons.clear(&describe(object));
            anyhow::Ok(())
        }
    });
    let mut waits = stream::iter(waits.collect::<Vec<_>>()).buffer_unordered(usize::MAX);
    match timeout_at(deadline, async {
        while waits.try_next().await?.is_some() {}
        Ok(())
    })
    .await
    {
        Ok(done) => done,
        Err(_) => {
            drop(waits);
            let quotes =
                timeout(limit::left().unwrap_or(INTERVAL).min(INTERVAL), quotes(kinds, objects, &reasons))
                    .await
                    .unwrap_or_default();
            Err(reasons.error(&quotes))
        }
    }
}

/// What the pods of objects that are not ready report.
async fn quotes(kinds: &Kinds, objects: &[Object], reasons: &Reasons<'_>) -> Vec<String> {
    let late: Vec<&Object> = objects.iter().filter(|o| reasons.has(&describe(o))).collect();
    let each = late.into_iter().map(|object| async move {
        let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
        Workload::new(kinds.client().clone(), &namespace).quote(object).await
    });
    futures::future::join_all(each).await.into_iter().flatten().collect()
}

/// Waits until definitions are established and served.
pub(super) async fn established(kinds: &Kinds, crds: &[&Object], deadline: Instant) -> anyhow::Result<()> {
    let owned: Vec<Object> = crds.iter().map(|o| (*o).clone()).collect();
    ready(kinds, &owned, deadline, None).await?;
    for crd in crds {
        let spec = &crd.data["spec"];
        let group = spec["group"].as_str().unwrap_or_default();
        let kind = spec["names"]["kind"].as_str().unwrap_or_default();
        let versions = spec["versions"].as_array().into_iter().flatten();
        for version in versions.filter(|v| v["served"] == true).filter_map(|v| v["name"].as_str()) {
            served(kinds, &format!("{group}/{version}"), kind, deadline).await?;
        }
    }
    Ok(())
}

/// Waits until the API server serves a kind: discovery follows the definition's condition a little later and cannot be
/// watched.
async fn served(kinds: &Kinds, api_version: &str, kind: &str, deadline: Instant) -> anyhow::Result<()> {
    loop {
        kinds.forget();
        let Err(why) = kinds.resource(api_version, kind).await else { return Ok(()) };
        if Instant::now() + SERVED >= deadline {
            let late = format!("the API server does not serve the new kind `{kind}` yet");
            return Err(why).context(late).exit(Exit::Timeout);
        }
        sleep(SERVED).await;
    }
}

/// Waits until an object fulfils a condition: the closure returns the unmet condition, none when it is fulfilled; it is
/// handed none while the object is not there.
///
/// # Errors
/// Time ran out, with the last reason.
pub async fn until<K>(
    api: Api<K>,
    name: &str,
    deadline: Instant,
    step: Option<&Step>,
    mut unmet: impl FnMut(Option<&K>) -> Option<String>,
) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut last = format!("the state of `{name}` is not known");
    let watch = async {
        let mut changes = pin!(watcher::watch_object(api, name).default_backoff());
        while let Some(change) = changes.next().await {
            match change {
                Ok(object) => match unmet(object.as_ref()) {
                    None => return,
                    Some(why) => last = why,
                },
                Err(error) => last = failure::plain(&error.into()),
            }
            if let Some(step) = step {
                step.waiting(&last);
            }
        }
    };
    if timeout_at(deadline, watch).await.is_err() {
        return Err(anyhow!("{last}")).context(format!("`{name}` was not ready in time")).exit(Exit::Timeout);
    }
    Ok(())
}

/// Waits until an object is gone.
///
/// # Errors
/// Time ran out.
pub async fn gone(api: Api<Object>, name: &str, deadline: Instant) -> anyhow::Result<()> {
    let wait = until(api, name, deadline, None, |object| {
        let object = object?;
        let holds = object.finalizers().join(", ");
        Some(if holds.is_empty() {
            "it is still there".to_owned()
        } else {
            format!("finalizers hold it: {holds}")
        })
    });
    wait.await.with_context(|| format!("`{name}` was not deleted"))
}

fn has_conditions(kind: &str) -> bool {
    matches!(
        kind,
        "Deployment"
            | "StatefulSet"
            | "ReplicaSet"
            | "DaemonSet"
            | "Job"
            | "Pod"
            | "Node"
            | "Namespace"
            | "CustomResourceDefinition"
    )
}

/// The unmet condition of each object, by its description.
struct Reasons<'a> {
    all: Mutex<BTreeMap<String, String>>,
    step: Option<&'a Step>,
}

impl Reasons<'_> {
    fn set(&self, what: &str, why: String) {
        let mut all = self.all.lock().expect("no panic while held");
        all.insert(what.to_owned(), why);
        self.show(&all);
    }

    fn clear(&self, what: &str) {
        let mut all = self.all.lock().expect("no panic while held");
        all.remove(what);
        self.show(&all);
    }

    fn show(&self, all: &BTreeMap<String, String>) {
        if let (Some(step), Some((what, why))) = (self.step, all.first_key_value()) {
            step.waiting(&format!("{what}: {why}"));
        }
    }

    fn has(&self, what: &str) -> bool {
        self.all.lock().expect("no panic while held").contains_key(what)
    }

    fn error(&self, quotes: &[String]) -> anyhow::Error {
        let all = self.all.lock().expect("no panic while held");
        let list: Vec<String> = all.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        let text = if list.is_empty() { "the cluster did not respond".to_owned() } else { list.join("; ") };
        let cause = match quotes {
            [] => anyhow!("{text}"),
            quotes => anyhow!("{}", quotes.join("; ")).context(text),
        };
        let error = cause.context("not everything was ready in time");
        let error =
            error.hint("`--timeout 20m` allows more time; `meshy status` shows the state of each part");
        error.id("not-ready").exit(Exit::Timeout)
    }
}

/// What the watches tell.
enum News {
    Object(Option<Box<Object>>),
    Pod(Box<watcher::Event<Pod>>),
    PodFailure(String),
    PodTrouble(watcher::Error),
    Look,
}

async fn one(kinds: &Kinds, object: &Object, reasons: &Reasons<'_>) -> anyhow::Result<()> {
    let (what, name, kind) = (describe(object), object.name_any(), kind(object).to_owned());
    let api = kinds.api(object, "default").await?;
    let mut workload = Workload::new(kinds.client().clone(), api.namespace().unwrap_or_default());
    let changes = watcher::watch_object(api, &name).default_backoff();
    let changes = changes.map(|c| match c {
        Ok(o) => News::Object(o.map(Box::new)),
        Err(error) => News::PodFailure(failure::plain(&error.into())),
    });
    let selected = workload::pods_of(object);
    let has_pods = selected.is_some();
    let pod_changes = match selected {
        Some(config) => {
            let pods = watcher(workload.pods(), config).default_backoff();
            pods.map(|p| p.map_or_else(News::PodTrouble, |event| News::Pod(Box::new(event)))).left_stream()
        }
        None => stream::pending().right_stream(),
    };
    // That no node takes a pod is a matter of time and not of news.
    let looks = stream::unfold((), |()| async {
        sleep(INTERVAL).await;
        Some((News::Look, ()))
    });
    let mut news = pin!(stream::select(stream::select(changes, pod_changes), looks));
    let (mut seen, mut missing, mut wanted) = (false, Some("its state is not known yet".to_owned()), None);
    while let Some(news) = news.next().await {
        match news {
            News::Object(Some(object)) => {
                seen = true;
                workload.owner(&object);
                let object = serde_json::to_value(&*object)?;
                if let Some(failure) = (kind == "Pod").then(|| failed(&object)).flatten() {
                    let cause = workload.explain(&serde_json::from_value(object)?, &failure).await;
                    return Err(cause).with_context(|| format!("{what} cannot become ready"));
                }
                missing = unmet_condition(&kind, &object);
                wanted = pods(&kind, &object).filter(|_| has_pods);
            }
            News::Object(None) if seen => {
                return Err(anyhow!("it was deleted during the wait")).context(format!("{what} is gone"));
            }
            News::Object(None) => missing = Some("it is not there".to_owned()),
            News::Pod(event) => workload.note(*event),
            News::PodTrouble(error) => {
                if let Some(why) = workload.blind(error) {
                    reasons.set(&what, why);
                    continue;
                }
            }
            News::PodFailure(why) => {
                reasons.set(&what, why);
                continue;
            }
            News::Look => {}
        }
        let Some(missing) = missing.clone().or_else(|| workload.behind(wanted?)) else { return Ok(()) };
        if let Some((pod, failure)) = workload.failure().await {
            let cause = workload.explain(&pod, &failure).await;
            return Err(cause).with_context(|| format!("{what} cannot become ready"));
        }
        match workload.waiting() {
            Some(pod) => reasons.set(&what, format!("{missing}: {pod}")),
            None => reasons.set(&what, missing),
        }
    }
    Ok(())
}
