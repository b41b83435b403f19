//! Whether clients use the policies of a step: a request of its load shows it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;
use meshy_base::Report;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::scenario::Step;
use meshy_kube::manifest;
use meshy_load::Plan;
use meshy_metrics::routes::Service;
use meshy_policy::policy::{Clients, Evidence};
use tokio::sync::watch;
use tokio::time::Instant;

use super::changes::InForce;
use super::destination::Destination;
use super::ground::{Ground, Place};

/// How long the clients may take to use a policy.
const IN_USE: Duration = Duration::from_secs(45);

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
    let present = profiled_now(objects);
    if !profiled.is_empty() {
        // A client is known by its counters: one that has not sent a request yet would not be scraped.
        probe(&destination).await?;
    }
    for (namespace, name) in profiled {
        let service = Service { namespace: namespace.clone(), name: name.clone() };
        let is_present = present.contains(&(namespace.clone(), name.clone()));
        let evidence = if is_present { Evidence::ProfileRoutes } else { Evidence::NoProfile };
        let mut clients = Clients::of(&ground.run_cluster.client, &service, deadline).await?;
        let probe = async || probe(&destination).await;
        if !clients.probed(&evidence, ground.run_cluster.pauses(), probe, deadline).await? {
            return Err(anyhow!("the clients of `{name}` do not use the changed policy"))
                .hint("`meshy sp show` shows the state of each client; other traffic keeps a proxy from a new discovery")
                .exit(Exit::Timeout);
        }
    }
    Ok(())
}

fn profiled_now(objects: &InForce) -> BTreeSet<(String, String)> {
    profiled(std::iter::once(objects))
}

/// Sends one request.
async fn probe(destination: &Destination) -> anyhow::Result<()> {
    let (_go, stop) = watch::channel(false);
    let plan = Plan { rate: 100.0, length: Duration::from_millis(10), connections: 1, ..Plan::default() };
    let sent = meshy_load::run(destination.target.clone(), plan, stop, |_| {}).await?;
    if sent.unreached() {
        return Err(anyhow!("cannot reach the target of the load at {}", destination.target.server));
    }
    Ok(())
}
