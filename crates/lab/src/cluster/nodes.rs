//! The containers that are a lab's nodes, as the engine lists them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use anyhow::Context as _;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use jiff::Timestamp;

use super::engine::Engine;
use super::kind_config::CERTS_D;

/// The label with which kind marks a cluster's nodes; its value is the cluster's name.
const KIND_CLUSTER: &str = "io.x-k8s.kind.cluster";

/// The network that kind puts its nodes in.
pub(super) const NETWORK: &str = "kind";

/// One node's container.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The container's name, which is the node's.
    pub(super) name: String,
    /// Whether it runs.
    pub(super) running: bool,
    /// The engine's words on its state.
    pub(super) state: String,
    /// Whether it was made for this lab.
    pub(super) ours: bool,
    /// Its address on the nodes' network; none while it does not run.
    pub(super) address: Option<String>,
}

/// The nodes of the kind cluster of that name, whatever created it, by name.
pub(super) async fn list(engine: &Engine, name: &str, certs_d: &Path) -> anyhow::Result<Vec<Node>> {
    let filter = HashMap::from([("label".to_owned(), vec![format!("{KIND_CLUSTER}={name}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
    let containers = engine.docker.list_containers(Some(options)).await;
    let containers = containers.context("cannot list the containers of the engine")?;
    let mut nodes: Vec<Node> = containers
        .into_iter()
        .map(|c| Node {
            name: container_name(&c),
            running: c.state == Some(ContainerSummaryStateEnum::RUNNING),
            state: c.status.clone().unwrap_or_default(),
            ours: is_ours(&c, certs_d),
            address: address(&c),
        })
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(nodes)
}

/// When each node was started last, by the clock of the engine's machine, which is the nodes' own. One that was started in time to
/// come, the clock having been set back since, or at no time, is left out: nothing can be concluded from it.
pub(super) async fn started(engine: &Engine, nodes: &[Node]) -> anyhow::Result<BTreeMap<String, Timestamp>> {
    let each = nodes.iter().map(|node| async move {
        let found = engine.docker.inspect_container(&node.name, None).await;
        let found = found
            .with_context(|| format!("cannot read from the engine when node `{}` was started", node.name))?;
        let at = found.state.and_then(|state| state.started_at?.parse::<Timestamp>().ok());
        anyhow::Ok(at.filter(|at| *at <= Timestamp::now()).map(|at| (node.name.clone(), at)))
    });
    Ok(futures::future::try_join_all(each).await?.into_iter().flatten().collect())
}

/// Removes containers with what they wrote.
pub(super) async fn remove(engine: &Engine, nodes: &[Node]) -> anyhow::Result<()> {
    let removals = nodes.iter().map(|node| async move {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match engine.docker.remove_container(&node.name, Some(options)).await {
            // Being removed already, or gone since it was listed.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. })
            | Ok(()) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot remove container `{}`", node.name)),
        }
    });
    futures::future::try_join_all(removals).await?;
    Ok(())
}

/// A container's name without the slash that the engine puts before it.
pub(super) fn container_name(container: &ContainerSummary) -> String {
    let first = container.names.iter().flatten().next();
    first.map(|n| n.trim_start_matches('/').to_owned()).unwrap_or_default()
}

/// Ports of this machine that containers map, whether they run or not; those of `but` are left out.
pub(super) async fn mapped_ports(engine: &Engine, but: &str) -> anyhow::Result<HashSet<u16>> {
    let containers =
        engine.docker.list_containers(None).await.context("cannot list the containers of the engine")?;
    let others = containers.iter().filter(|c| container_name(c) != but);
    Ok(others.flat_map(|c| c.ports.iter().flatten().filter_map(|p| p.public_port)).collect())
}

fn address(container: &ContainerSummary) -> Option<String> {
    let networks = container.network_settings.as_ref()?.networks.as_ref()?;
    networks.get(NETWORK)?.ip_address.clone().filter(|a| !a.is_empty())
}

fn is_ours(container: &ContainerSummary, certs_d: &Path) -> bool {
    container.mounts.iter().flatten().any(|m| {
        // An engine in a virtual machine may see the folder below a separate path.
        m.destination.as_deref() == Some(CERTS_D)
            && m.source.as_deref().is_some_and(|s| s.ends_with(&*certs_d.to_string_lossy()))
    })
}
