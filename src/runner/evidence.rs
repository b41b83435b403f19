//! Whether clients use the policies of a step: a request of its load shows it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;
use meshy_base::Report;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::scenario::Step;
use meshy_kube::manifest;
use meshy_load::{Plan, Summary};
use meshy_metrics::routes::Service;
use meshy_policy::policy::{Clients, Evidence};
use tokio::sync::watch;
use tokio::time::Instant;

use super::changes::InForce;
use super::destination::Destination;
use super::ground::{Ground, Place};
use super::{reach, senders};

/// How long the clients may take to use a policy.
const IN_USE: Duration = Duration::from_secs(45);
/// How long a service may take to be reachable after its pods are ready.
const REACHABLE: Duration = Duration::from_secs(10);

/// The services that have a ServiceProfile in one of the steps.
pub(super) fn profiled<'a>(steps: impl Iterator<Item = &'a InForce>) -> BTreeSet<(String, String)> {
    steps.flat_map(InForce::objects).filter_map(profile_of).collect()
}

/// The namespace and name of the service that a ServiceProfile is about.
fn profile_of(object: &meshy_kube::Object) -> Option<(String, String)> {
    if manifest::kind(object) != meshy_linkerd::names::PROFILE_KIND {
        return None;
    }
    let name = object.metadata.name.as_deref()?;
    let (service, rest) = name.split_once('.')?;
    Some((rest.split('.').next()?.to_owned(), service.to_owned()))
}

/// Waits until the client that a request of the step's load passes uses the profiles of the step, and none that is not in
/// force. `profiled` are the services to look at.
///
/// # Errors
/// The target cannot be reached; the client does not follow in time.
pub(super) async fn in_use(
    ground: &Ground<'_>,
    place: &Place,
    (step, objects): (&Step, &InForce),
    profiled: &BTreeSet<(String, String)>,
    report: &Report,
) -> anyhow::Result<()> {
    let Some(load) = &step.load else { return Ok(()) };
    let deadline = ground.deadline.min(Instant::now() + IN_USE);
    let destination = Destination::of(ground.run_cluster, place, load, report).await?;
    if !profiled.is_empty() {
        // A client is known by its counters: one that has not sent a request yet would not be scraped.
        probe(&destination).await?;
    }
    for (namespace, name) in profiled {
        let service = Service { namespace: namespace.clone(), name: name.clone() };
        let evidence = wanted(objects, &service);
        let mut clients = Clients::of(&ground.run_cluster.client, &service, deadline).await?;
        let probe = async || probe(&destination).await;
        if !clients.probed(&evidence, ground.run_cluster.pauses(), probe, deadline).await? {
            return Err(anyhow!("the clients of `{name}` do not use the changed policy"))
                .hint("`meshy sp show` shows the state of each client; a proxy with other requests to the service does not discover it again")
                .exit(Exit::Timeout);
        }
    }
    Ok(())
}

/// What shows that clients use the policies of a service. A proxy that used a profile stays with the profile's way of counting
/// when the profile is deleted, and ignores routes and annotations until its discovery was idle: only requests counted
/// by the newer policy show that it uses them.
fn wanted(objects: &InForce, service: &Service) -> Evidence {
    let is_profiled = objects
        .objects()
        .filter_map(profile_of)
        .any(|found| found == (service.namespace.clone(), service.name.clone()));
    if is_profiled {
        Evidence::ProfileRoutes
    } else if objects.objects().any(|object| is_newer_policy_of(object, service)) {
        Evidence::Policy(None)
    } else {
        Evidence::NoProfile
    }
}

/// Whether an object is a route of the service, or its annotations.
fn is_newer_policy_of(object: &meshy_kube::Object, service: &Service) -> bool {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    match manifest::kind(object) {
        "Service" => {
            object.metadata.name.as_deref() == Some(service.name.as_str()) && namespace == service.namespace
        }
        "HTTPRoute" | "GRPCRoute" => {
            let parents = object.data["spec"]["parentRefs"].as_array();
            parents.into_iter().flatten().any(|parent| {
                parent["name"] == service.name.as_str()
                    && parent["namespace"].as_str().unwrap_or(namespace) == service.namespace
            })
        }
        _ => false,
    }
}

/// Waits until the loads of a topology that was just deployed reach their targets: a pod is ready a moment before the ingress
/// and the nodes lead to it. After ten seconds the run goes on, and its load shows what is wrong.
///
/// # Errors
/// There is no such service, or no way to it.
pub(super) async fn reachable(
    ground: &Ground<'_>,
    place: &Place,
    steps: &[Step],
    report: &Report,
) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for load in steps.iter().filter_map(|step| step.load.as_ref()) {
        let target = load.target.value.as_str();
        if senders::count(load).is_some() || target.contains("://") || !seen.insert(target) {
            continue;
        }
        let destination = Destination::of(ground.run_cluster, place, load, report).await?;
        reach::reached(&destination.target, ground.deadline.min(Instant::now() + REACHABLE)).await;
    }
    Ok(())
}

/// Sends one request.
async fn probe(destination: &Destination) -> anyhow::Result<()> {
    if sent(destination).await?.unreached() {
        return Err(anyhow!("cannot reach the target of the load at {}", destination.target.server));
    }
    Ok(())
}

async fn sent(destination: &Destination) -> anyhow::Result<Summary> {
    let (_go, stop) = watch::channel(false);
    let plan = Plan { rate: 100.0, length: Duration::from_millis(10), connections: 1, ..Plan::default() };
    meshy_load::run(destination.target.clone(), plan, stop, |_| {}).await
}

#[cfg(test)]
mod tests {
    use meshy_experiment::scenario::policies::PolicyFile;
    use std::collections::BTreeMap;

    use super::*;

    const PROFILE: &str = "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\n\
                           metadata: { name: app.shop.svc.cluster.local }\nspec: { routes: [] }\n";
    const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: other }\n\
                         spec: { parentRefs: [{ kind: Service, group: core, name: app, port: 8080 }] }\n";
    const ANNOTATIONS: &str = "apiVersion: v1\nkind: Service\n\
                               metadata: { name: app, annotations: { retry.linkerd.io/http: 5xx } }\n";

    fn evidence(text: &str) -> Evidence {
        let file = PolicyFile { name: "p".to_owned(), place: "p".to_owned(), text: text.to_owned() };
        let step = Step { policies: vec!["p".to_owned().into()], ..Step::default() };
        let objects = InForce::of(&BTreeMap::from([("p".to_owned(), file)]), &step, None, "shop").unwrap();
        wanted(&objects, &Service { namespace: "shop".to_owned(), name: "app".to_owned() })
    }

    #[test]
    fn a_policy_that_follows_a_profile_is_in_use_when_requests_are_counted_by_it() {
        assert_eq!(evidence(PROFILE), Evidence::ProfileRoutes);
        assert_eq!(evidence(ROUTE), Evidence::Policy(None));
        assert_eq!(evidence(ANNOTATIONS), Evidence::Policy(None));
        assert_eq!(evidence(&format!("{PROFILE}---\n{ROUTE}")), Evidence::ProfileRoutes, "a profile wins");
        assert_eq!(evidence(&ROUTE.replace("name: app", "name: web")), Evidence::NoProfile);
        assert_eq!(evidence(&ANNOTATIONS.replace("name: app", "name: web")), Evidence::NoProfile);
    }
}
