//! What `sp` and `retry` say about a service's clients, and how it ends.

use anyhow::anyhow;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Advise, Exit};
use crate::k8s::Kinds;
use crate::mesh::clients::{self, Client, Evidence, State};
use crate::mesh::injection;
use crate::mesh::workloads::{self, Selection};
use crate::metrics::Sight;
use crate::metrics::routes::Service;

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
    before: Sight,
) -> anyhow::Result<Exit> {
    let seen = observe(context, kinds, &proof, before).await?;
    let document =
        Document { service: &proof.service.name, namespace: &proof.service.namespace, clients: &seen };
    context.data(&document, |d| table(d.clients))?;
    judge(&seen)
}

/// Observes the clients; restarts stale ones where asked.
pub(super) async fn observe(
    context: &Context,
    kinds: &Kinds,
    proof: &Proof,
    before: Sight,
) -> anyhow::Result<Vec<Client>> {
    let client = kinds.client();
    let step = context.report.step("Proving", format!("clients of `{}`", proof.service.name));
    let mut seen =
        clients::observe(client, &proof.service, &proof.evidence, before, context.deadline).await?;
    if proof.restart && seen.iter().any(|c| c.state == State::Stale) {
        step.waiting("restarting clients that keep what they discovered before");
        restart(context, kinds, &seen).await?;
        let before = clients::sight(client).await?;
        seen = clients::observe(client, &proof.service, &proof.evidence, before, context.deadline).await?;
    }
    let count = |state| seen.iter().filter(|c| c.state == state).count();
    let parts = [
        (State::InForce, "in force"),
        (State::Pending, "pending"),
        (State::Stale, "stale"),
        (State::Unknown, "unknown"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(s, _)| count(*s) > 0)
        .map(|(s, word)| format!("{} {word}", count(*s)))
        .collect();
    step.done(if parts.is_empty() {
        "no client has talked to it yet: the first request follows".to_owned()
    } else {
        parts.join(", ")
    });
    Ok(seen)
}

/// A client that talks and does not follow is an error.
pub(super) fn judge(seen: &[Client]) -> anyhow::Result<Exit> {
    match seen.iter().find(|c| c.state == State::Stale) {
        None => Ok(Exit::Done),
        Some(stale) => Err(anyhow!("pod `{}` in `{}`: {}", stale.pod, stale.namespace, stale.words))
            .hint("pause the traffic for 5 s, or run it again with `--restart-clients`")
            .id("profile-stale")
            .exit(Exit::Failed)
            .map_err(|e| e.context("a client does not follow the policy")),
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
        State::Pending => "pending",
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
