//! What `sp` and `retry` report about a service's clients, and the exit code.

use anyhow::anyhow;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::context::Context;
use crate::mesh::injection;
use crate::mesh::workloads::{self, Selection};
use crate::run_cluster::RunCluster;
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;
use meshy_metrics::routes::Service;
use meshy_policy::policy::{Client, Clients, Evidence, State};

/// What is to be proven.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) service: Service,
    pub(super) evidence: Evidence,
    pub(super) restart: bool,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    service: &'a str,
    namespace: &'a str,
    clients: &'a [Client],
}

/// Observes the clients, prints their states and judges.
pub(super) async fn run(
    context: &Context,
    kinds: &Kinds,
    proof: Proof,
    clients: Clients,
) -> anyhow::Result<Exit> {
    let seen = observe(context, kinds, &proof, clients).await?;
    let document =
        Document { service: &proof.service.name, namespace: &proof.service.namespace, clients: &seen };
    context.data(&document, |d| table(d.clients))?;
    evaluate(&seen)
}

/// Observes the clients; restarts stale ones on request.
pub(super) async fn observe(
    context: &Context,
    kinds: &Kinds,
    proof: &Proof,
    mut clients: Clients,
) -> anyhow::Result<Vec<Client>> {
    let pauses = RunCluster::pauses_of(context)?;
    let step = context.report.step("Verifying", format!("clients of `{}`", proof.service.name));
    let mut seen = clients.settled(&proof.evidence, pauses, context.deadline).await;
    if proof.restart && seen.iter().any(|c| c.state == State::Stale) {
        step.waiting("restarting stale clients");
        restart(context, kinds, &seen).await?;
        seen = clients.settled(&proof.evidence, pauses, context.deadline).await;
    }
    step.done(words(&seen));
    Ok(seen)
}

/// How many clients are in which state. Idle ones need no number: nothing is wrong with them.
pub(super) fn words(seen: &[Client]) -> String {
    let count = |state| seen.iter().filter(|c| c.state == state).count();
    if seen.is_empty() {
        return "idle; no client has sent a request yet, the first one will use the policy".to_owned();
    }
    if count(State::Idle) == seen.len() {
        return "idle; the next request will use the policy".to_owned();
    }
    let parts = [
        (State::InForce, "in force"),
        (State::Idle, "idle"),
        (State::Stale, "stale"),
        (State::Unknown, "unknown"),
    ];
    let parts = parts.into_iter().map(|(state, word)| (count(state), word)).filter(|(count, _)| *count > 0);
    parts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// A client that talks and does not follow is an error.
pub(super) fn evaluate(seen: &[Client]) -> anyhow::Result<Exit> {
    match seen.iter().find(|c| c.state == State::Stale) {
        None => Ok(Exit::Done),
        Some(stale) => Err(anyhow!("pod `{}` in `{}`: {}", stale.pod, stale.namespace, stale.words))
            .hint("pause the requests for 5 s, or run the command again with `--restart-clients`")
            .id("profile-stale")
            .exit(Exit::Failed)
            .map_err(|e| e.context("a client does not use the policy")),
    }
}

async fn restart(context: &Context, kinds: &Kinds, seen: &[Client]) -> anyhow::Result<()> {
    let mut wanted: Vec<(String, String)> = seen
        .iter()
        .filter(|c| c.state == State::Stale)
        .map(|c| (c.namespace.clone(), c.workload.to_string()))
        .collect();
    wanted.sort();
    wanted.dedup();
    for (namespace, name) in wanted {
        let selection = Selection { names: vec![name], namespace, ..Selection::default() };
        for workload in workloads::find(kinds.client(), &selection).await? {
            injection::restart_as_it_is(kinds, &workload, context.deadline).await?;
            context.report.say(format!("{} restarted", workload.name_any()));
        }
    }
    Ok(())
}

/// The clients, one a line.
pub(super) fn table(clients: &[Client]) -> String {
    let word = |state| match state {
        State::InForce => "in force",
        State::Idle => "idle",
        State::Stale => "stale",
        State::Unknown => "unknown",
    };
    let width = clients.iter().map(|c| c.pod.len() + c.namespace.len() + 1).max().unwrap_or(0);
    let line = |c: &Client| {
        let name = format!("{}/{}", c.namespace, c.pod);
        format!("{name:width$}  {:8}  {:>6} requests  {}\n", word(c.state), c.requests, c.words)
    };
    clients.iter().map(line).collect()
}
