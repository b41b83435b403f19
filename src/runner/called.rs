//! Whether the Services that senders call by URL are there, or are deployed by the run: checked before anything is changed.

use anyhow::{Context as _, anyhow};
use meshy_base::Report;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::scenario::{Load, Step};
use meshy_lab::deploy::topology;
use meshy_policy::check_service;
use meshy_topology::{SERVICE_PORT, nearest};

use super::{Graph, Plan, ground, senders};
use crate::run_cluster::RunCluster;
use crate::service_url::ServiceUrl;

/// Checks the loads of all steps that pods send.
///
/// # Errors
/// A Service or its port is not there, with the line of the load; the API fails.
pub(super) async fn check(plan: &Plan, run_cluster: &RunCluster, report: &Report) -> anyhow::Result<()> {
    let namespace = match &plan.graph {
        Graph::Overlays(_) => topology::NAMESPACE.to_owned(),
        // A name alone is a service of each variant, and all have the same ones.
        Graph::Topology(_) => ground::namespaces(&plan.scenario).swap_remove(0),
        Graph::Deployed(namespace) => namespace.clone(),
    };
    for step in &plan.scenario.steps {
        let Some(load) = sent_by_pods(step) else { continue };
        let Some(url) = ServiceUrl::in_pod(&load.target.value, &namespace) else { continue };
        let place = || format!("{}:{}: step `{}`", plan.file, load.target.line, step.name.value);
        match deployed(plan, &url.service.namespace, run_cluster.is_own()) {
            Some(names) => is_one_of(&names, &url, plan).with_context(place)?,
            None => {
                let checked = url.check(&run_cluster.client, &load.target.value).await;
                checked.with_context(place)?.iter().for_each(|note| report.warn(note));
            }
        }
    }
    Ok(())
}

/// Reports Services of a namespace that senders call by name and that have no ready endpoint.
///
/// # Errors
/// The API fails.
pub(super) async fn report_unready(
    plan: &Plan,
    run_cluster: &RunCluster,
    report: &Report,
) -> anyhow::Result<()> {
    let Graph::Deployed(namespace) = &plan.graph else { return Ok(()) };
    for load in plan.scenario.steps.iter().filter_map(sent_by_pods) {
        if !load.target.contains("://") {
            let service = (namespace.as_str(), load.target.value.as_str());
            let checked = check_service(&run_cluster.client, service, None).await?;
            checked.iter().for_each(|note| report.warn(note));
        }
    }
    Ok(())
}

fn sent_by_pods(step: &Step) -> Option<&Load> {
    step.load.as_ref().filter(|load| senders::count(load).is_some())
}

/// Returns the names of the services that the run deploys into a namespace; none for a namespace of the cluster.
fn deployed<'a>(plan: &'a Plan, namespace: &str, is_own: bool) -> Option<Vec<&'a str>> {
    match &plan.graph {
        Graph::Topology(topology) => ground::namespaces(&plan.scenario)
            .iter()
            .any(|one| one == namespace)
            .then(|| topology.services.iter().map(|service| service.name.as_str()).collect()),
        Graph::Overlays(names) => {
            (is_own && namespace == topology::NAMESPACE).then(|| names.iter().map(String::as_str).collect())
        }
        Graph::Deployed(_) => None,
    }
}

/// Checks a URL against the services that the run deploys into its namespace.
fn is_one_of(names: &[&str], url: &ServiceUrl, plan: &Plan) -> anyhow::Result<()> {
    let (name, namespace) = (url.service.name.as_str(), &url.service.namespace);
    if !names.contains(&name) {
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", names.join(", ")),
        };
        return Err(anyhow!("there is no service `{name}` in namespace `{namespace}`"))
            .hint(hint)
            .exit(Exit::Usage);
    }
    if matches!(plan.graph, Graph::Topology(_)) && url.port != SERVICE_PORT {
        return Err(anyhow!("service `{name}` in namespace `{namespace}` has no port {}", url.port))
            .hint(format!("it has: {SERVICE_PORT}"))
            .exit(Exit::Usage);
    }
    Ok(())
}
