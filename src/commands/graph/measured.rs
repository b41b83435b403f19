//! The call graph of a cluster, from two scrapes of all proxies.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use futures::StreamExt as _;
use meshy_base::error::{AdviseError, Exit};
use meshy_graph::{CallEdge, CallGraph, CallNode};
use meshy_kube::failure;
use meshy_metrics::edges::{Edge, UnmeshedEdge, edges, unmeshed};
use meshy_metrics::routes::Service;
use meshy_metrics::{Pod, Window, pods};
use meshy_policy::{policy, services};
use meshy_predict::edge::Policy;

use super::super::predict::policy_words;
use super::names::Names;
use crate::context::Context;

/// The node of all clients without a proxy.
const UNMESHED: &str = "(not meshed)";

/// How many policies are read at the same time.
const AT_ONCE: usize = 16;

/// Returns all pods of the cluster.
///
/// # Errors
/// There is no such namespace, nothing in it is meshed, or the API fails.
pub(super) async fn pods(client: &kube::Client, scope: Option<&str>) -> anyhow::Result<Vec<Pod>> {
    let all = pods::list(client, None).await?;
    match all.iter().any(|pod| pod.scrapable() && in_scope(scope, &pod.namespace)) {
        true => Ok(all),
        false => Err(nothing_meshed(client, scope).await),
    }
}

fn in_scope(scope: Option<&str>, namespace: &str) -> bool {
    scope.is_none_or(|scope| scope == namespace)
}

/// Whether a window has requests of the namespace, or any.
pub(super) fn counted(window: &Window, scope: Option<&str>) -> bool {
    let (edges, unmeshed) = calls(window, scope);
    !edges.is_empty() || !unmeshed.is_empty()
}

fn calls(window: &Window, scope: Option<&str>) -> (Vec<Edge>, Vec<UnmeshedEdge>) {
    let mut edges = edges(window);
    edges.retain(|edge| in_scope(scope, &edge.namespace) || in_scope(scope, &edge.service.namespace));
    let mut unmeshed = unmeshed(window);
    unmeshed.retain(|edge| in_scope(scope, &edge.namespace));
    (edges, unmeshed)
}

/// Returns the graph of a namespace, or of all: services with a proxy, and the calls in the window.
///
/// # Errors
/// The API fails.
pub(super) async fn graph(
    context: &Context,
    client: &kube::Client,
    scope: Option<&str>,
    all: &[Pod],
    window: &Window,
) -> anyhow::Result<CallGraph> {
    let names = Names::read(client, all, scope).await?;
    window.gaps.iter().for_each(|gap| context.report.warn(format!("not counted: {gap}")));
    let seconds = window.length.as_secs_f64();
    let (edges, unmeshed) = calls(window, scope);
    let policies = policies(context, client, &edges).await;
    let mut graph = CallGraph::default();
    let callers = unmeshed.iter().map(|edge| unmeshed_call(edge, &names, seconds));
    graph.edges = callers.chain(edges.iter().map(|edge| call(edge, &names, &policies, seconds))).collect();
    let meshed = all.iter().filter(|pod| pod.scrapable() && in_scope(scope, &pod.namespace));
    let meshed = meshed.map(|pod| names.of_workload(&pod.namespace, &pod.workload));
    let called = graph.edges.iter().flat_map(|edge| [edge.from.clone(), edge.to.clone()]);
    let nodes: BTreeSet<String> = meshed.chain(called).collect();
    graph.nodes = nodes
        .into_iter()
        .map(|name| CallNode { unmeshed: name == UNMESHED, ..CallNode::new(name) })
        .collect();
    Ok(graph)
}

async fn nothing_meshed(client: &kube::Client, scope: Option<&str>) -> anyhow::Error {
    if let Some(scope) = scope
        && let Err(error) = services::namespace(client, scope).await
    {
        return error;
    }
    let place = scope.map(|scope| format!(" in namespace `{scope}`")).unwrap_or_default();
    let hint = "`meshy inject` adds proxies to workloads; `-n NAMESPACE` or `-A` shows other namespaces";
    anyhow!("no running pod{place} has a proxy").hint(hint).exit(Exit::Prerequisite)
}

/// Reads the policy of each service called. A policy that cannot be read is a warning.
async fn policies(
    context: &Context,
    client: &kube::Client,
    edges: &[Edge],
) -> BTreeMap<(String, String), String> {
    let called: BTreeSet<(String, String)> =
        edges.iter().map(|edge| (edge.service.namespace.clone(), edge.service.name.clone())).collect();
    let read = called.into_iter().map(async |(namespace, name)| {
        let service = Service { namespace, name };
        let read = policy::of(client, &service).await;
        ((service.namespace, service.name), read)
    });
    let read: Vec<_> = futures::stream::iter(read).buffered(AT_ONCE).collect().await;
    let mut found = BTreeMap::new();
    for (key, policy) in read {
        match policy {
            Ok(Policy::None) => {}
            Ok(policy) => {
                found.insert(key, policy_words(&policy));
            }
            Err(error) => context.report.warn(format!(
                "the policy of service `{}` is not shown: {}",
                key.1,
                failure::plain(&error)
            )),
        }
    }
    found
}

fn per_second(count: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| count as f64 / seconds)
}

fn call(edge: &Edge, names: &Names, policies: &BTreeMap<(String, String), String>, seconds: f64) -> CallEdge {
    let counts = &edge.counts;
    let policy = policies.get(&(edge.service.namespace.clone(), edge.service.name.clone()));
    CallEdge {
        requests_per_second: per_second(counts.requests_count, seconds),
        requests_count: Some(counts.requests_count),
        effective_success_ratio: counts.effective_success(),
        actual_success_ratio: counts.actual_success(),
        attempts_per_request: Some(counts.attempts_count as f64 / counts.requests_count as f64),
        p50_ms: edge.p50_ms,
        p99_ms: edge.p99_ms,
        mutual_tls: edge.mutual_tls,
        policy: policy.cloned(),
        ..CallEdge::new(names.of_workload(&edge.namespace, &edge.client), names.of_service(&edge.service))
    }
}

fn unmeshed_call(edge: &UnmeshedEdge, names: &Names, seconds: f64) -> CallEdge {
    CallEdge {
        requests_per_second: per_second(edge.responses_count, seconds),
        requests_count: Some(edge.responses_count),
        effective_success_ratio: edge.success_ratio,
        p50_ms: edge.p50_ms,
        p99_ms: edge.p99_ms,
        mutual_tls: Some(false),
        unmeshed_client: true,
        ..CallEdge::new(UNMESHED, names.of_workload(&edge.namespace, &edge.server))
    }
}
