//! The containers of a kind lab: its nodes, its registry and their network.

use std::time::Duration;

use anyhow::Context as _;
use bollard::query_parameters::{StartContainerOptions, StopContainerOptionsBuilder};
use tokio::time::Instant;

use super::certs_d;
use crate::cluster::engine::Engine;
use crate::cluster::nodes::{self, NETWORK, Node};
use crate::cluster::{Part, addresses, registry};
use crate::lab::{KindState, LabName, Record};
use meshy_base::Step;

/// How long a request that was in progress when its program was killed may take to become visible in the engine.
pub(super) const STRAGGLER: Duration = Duration::from_secs(1);

/// Removes the nodes and the registry of a lab, verifies that they are gone, and returns what was removed.
///
/// # Errors
/// Those of the engine; a container remains.
pub(in crate::cluster) async fn remove_containers(
    engine: &Engine,
    record: &Record,
) -> anyhow::Result<Vec<String>> {
    let name = &record.name;
    let mut removed = Vec::new();
    // Again after a while where a run was killed: a docker program that its kind started may still create a container.
    let rounds = if record.made { 1 } else { 2 };
    for round in 0..rounds {
        if round > 0 {
            tokio::time::sleep(STRAGGLER).await;
        }
        let nodes = made_nodes(engine, name).await?;
        nodes::remove(engine, &nodes).await?;
        removed.extend(nodes.iter().map(|n| format!("container `{}`", n.name)));
    }
    removed.extend(registry::remove(engine, name).await?);
    let left: Vec<String> = made_nodes(engine, name).await?.into_iter().map(|n| n.name).collect();
    anyhow::ensure!(left.is_empty(), "containers are left: {}", left.join(", "));
    Ok(removed)
}

/// Returns the nodes of a lab, without those of a kind cluster of that name that meshy did not create.
async fn made_nodes(engine: &Engine, name: &LabName) -> anyhow::Result<Vec<Node>> {
    Ok(nodes::list(engine, name, &certs_d(name)?).await?.into_iter().filter(|n| n.ours).collect())
}

/// Returns a node as `status` shows it: not ready while it does not run, or if its address has changed.
pub(super) fn part(node: &Node, kind: &KindState) -> Part {
    let was = kind.addresses.get(&node.name);
    let moved = node.address.as_ref().zip(was).filter(|(now, was)| now != was);
    let state = match moved {
        _ if !node.running => format!("stopped: {}", node.state),
        Some((now, was)) => format!("running, its address is {now} and was {was}"),
        None => "running".to_owned(),
    };
    Part {
        name: format!("node `{}`", node.name),
        ready: node.running && moved.is_none(),
        state,
        address: node.address.clone(),
    }
}

/// Starts stopped nodes. If the address of a node has changed, restarts all nodes in the order of their former addresses: routes
/// and certificates contain these, and not every node image repairs them. Returns the result for the report.
pub(super) async fn restart(
    engine: &Engine,
    record: &Record,
    nodes: &[Node],
    step: &Step,
    deadline: Instant,
) -> anyhow::Result<String> {
    let kind = record.kind()?;
    let moved = addresses::changes(&kind.addresses, &addresses::of(nodes));
    if !moved.is_empty() {
        step.waiting(&moved.join("; "));
        stop_nodes(engine, nodes).await?;
    }
    let to_start = nodes.iter().filter(|n| !n.running || !moved.is_empty());
    // The engine assigns the lowest free address: nodes in the order of the former addresses, the registry after them.
    let names = addresses::in_order(&kind.addresses, to_start.map(|n| n.name.as_str()));
    if !names.is_empty() {
        registry::out_of_the_way(engine, record, deadline).await?;
    }
    for name in &names {
        let started = engine.docker.start_container(name, None::<StartContainerOptions>).await;
        started.with_context(|| format!("cannot start node `{name}`"))?;
    }
    Ok(match (names.len(), moved.is_empty()) {
        (0, _) => "already there".to_owned(),
        (n, true) => format!("started {n} stopped nodes"),
        (n, false) => format!("restarted {n} nodes for their old addresses"),
    })
}

pub(super) async fn stop_nodes(engine: &Engine, nodes: &[Node]) -> anyhow::Result<()> {
    let options = StopContainerOptionsBuilder::default().t(10).build();
    let running = nodes.iter().filter(|n| n.running);
    let stops = running.map(|n| engine.docker.stop_container(&n.name, Some(options.clone())));
    futures::future::try_join_all(stops).await.context("cannot stop a node")?;
    Ok(())
}

/// Removes kind's network if no container uses it. Returns whether it was removed.
pub(super) async fn remove_network(engine: &Engine) -> anyhow::Result<bool> {
    use bollard::errors::Error::DockerResponseServerError;
    match engine.docker.remove_network(NETWORK).await {
        Ok(()) => Ok(true),
        // Absent, or used by other containers.
        Err(DockerResponseServerError { status_code: 403 | 404 | 409, .. }) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove network `{NETWORK}`")),
    }
}
