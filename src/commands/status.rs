//! `meshy status`: what is there, what is missing, and the command that repairs it.

use meshy_kube::failure;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use serde::Serialize;
use tokio::time::timeout;

use super::window::{clear, goes_on, second};
use crate::context::Context;
use crate::mesh::readiness::Readiness;
use crate::ui::table;
use meshy_base::activity;
use meshy_base::error::Exit;
use meshy_lab::addons::expiry;
use meshy_lab::cluster::{self, Part};
use meshy_lab::lab::Record;

/// How long a cluster may take to respond before it counts as not responding.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The flags of `meshy status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy status\n  meshy status --watch\n  meshy status -o json --name lab2"
)]
pub struct Args {
    /// Show it again each second, until ctrl-C
    #[arg(long, short)]
    watch: bool,
}

/// A lab as it is now.
#[derive(Debug, Serialize)]
struct Status {
    name: String,
    provider: &'static str,
    context: String,
    parts: Vec<Part>,
    nodes: Vec<NodeLine>,
    services: Vec<Service>,
    urls: Vec<String>,
    warnings: Vec<String>,
    missing: Vec<Missing>,
}

#[derive(Debug, Serialize)]
struct NodeLine {
    name: String,
    ready: bool,
    version: String,
}

#[derive(Debug, Serialize)]
struct Service {
    name: String,
    namespace: String,
    ready: i32,
    wanted: i32,
    /// Whether meshy created it. A foreign Deployment is shown and does not count as missing.
    managed: bool,
    /// What its first pod that is not ready waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct Missing {
    what: String,
    repair: String,
}

/// Prints the state of the lab.
///
/// # Errors
/// There is no such lab ([`Exit::Prerequisite`]).
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let mut next = None;
    loop {
        if args.watch {
            second(&mut next).await;
        }
        let record = cluster::lab(context)?;
        let status = status(context, &record).await;
        let exit = if status.missing.is_empty() { Exit::Done } else { Exit::Failed };
        clear(context, args.watch);
        context.data(&status, text)?;
        if !goes_on(context, args.watch) {
            return Ok(exit);
        }
    }
}

async fn status(context: &Context, record: &Record) -> Status {
    let provider = cluster::provider(record.provider());
    // Where that cannot be known, the parts below cannot either and say so.
    let stopped = provider.stopped(record).await.ok().flatten().is_some();
    let verb = if stopped { "start" } else { "up" };
    let repair = format!("meshy {verb}{}", context.name_flag());
    let mut missing = Vec::new();
    let mut miss = |what: String| missing.push(Missing { what, repair: repair.clone() });
    let parts = provider.parts(record).await;
    let parts = parts.unwrap_or_else(|error| {
        miss(failure::plain(&error));
        Vec::new()
    });
    parts.iter().filter(|p| !p.ready).for_each(|p| miss(format!("{} is {}", p.name, p.state)));
    let mut status = Status {
        name: record.name.to_string(),
        provider: cluster::word(record.provider()),
        context: record.context.clone(),
        nodes: Vec::new(),
        services: Vec::new(),
        urls: Vec::new(),
        warnings: Vec::new(),
        missing: Vec::new(),
        parts,
    };
    let mut response = Box::pin(async {
        if stopped {
            // It does not respond, and its parts say why.
            return Ok(());
        }
        let client = context.client_of(record).await?;
        inside(&client, record, &mut status).await
    });
    let in_time = timeout(TIMEOUT.min(context.remaining()), &mut response).await;
    // Read while it is still waited for.
    let waited =
        activity::longest().map_or(String::new(), |waited| format!(": timed out while {}", waited.what));
    drop(response);
    match in_time {
        Ok(Ok(())) => {}
        Ok(Err(error)) => miss(failure::plain(&error)),
        Err(_) => miss(format!("the cluster does not respond{waited}")),
    }
    for node in status.nodes.iter().filter(|n| !n.ready) {
        miss(format!("node `{}` is not Ready", node.name));
    }
    for service in status.services.iter().filter(|s| s.managed && s.ready < s.wanted) {
        let Service { name, namespace, ready, wanted, why, .. } = service;
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        miss(format!("`{namespace}/{name}` has {ready} of {wanted} replicas ready{why}"));
    }
    status.missing = missing;
    status
}

async fn inside(client: &Client, record: &Record, status: &mut Status) -> anyhow::Result<()> {
    let all = ListParams::default();
    let (nodes, deployments, ingresses, pods) = (
        Api::<Node>::all(client.clone()),
        Api::<Deployment>::all(client.clone()),
        Api::<Ingress>::all(client.clone()),
        Api::<Pod>::all(client.clone()),
    );
    let responses =
        tokio::try_join!(nodes.list(&all), deployments.list(&all), ingresses.list(&all), pods.list(&all));
    let (nodes, deployments, ingresses, pods) = responses.context("the cluster does not respond")?;
    status.nodes = nodes.items.iter().map(node_line).collect();
    for deployment in deployments.items.iter().filter(|d| d.namespace().is_none_or(|ns| ns != "kube-system"))
    {
        let Readiness { ready, wanted, why, is_ours: managed } = Readiness::of(deployment, &pods.items);
        let (name, namespace) = (deployment.name_any(), deployment.namespace().unwrap_or_default());
        status.services.push(Service { name, namespace, ready, wanted, managed, why });
    }
    for ingress in &ingresses.items {
        let rules = ingress.spec.iter().flat_map(|s| s.rules.iter().flatten());
        for host in rules.filter_map(|r| r.host.as_ref()) {
            if let Some(port) = cluster::ingress_port(record) {
                status.urls.push(meshy_lab::deploy::url(host, port));
            }
        }
    }
    // The Secrets are an administrator's to read; without that right the rest is still worth showing.
    match expiry::certificates(client).await {
        Ok(all) => status.warnings.extend(all.iter().filter_map(expiry::Certificate::warning)),
        Err(error) => {
            status.warnings.push(format!("the certificates were not read: {}", failure::plain(&error)));
        }
    }
    Ok(())
}

fn node_line(node: &Node) -> NodeLine {
    let status = node.status.clone().unwrap_or_default();
    let ready = meshy_kube::is_node_ready(node);
    let version = status.node_info.map(|i| i.kubelet_version).unwrap_or_default();
    NodeLine { name: node.name_any(), ready, version }
}

fn text(status: &Status) -> String {
    let mut text =
        format!("lab `{}`, provider {}, context `{}`\n\n", status.name, status.provider, status.context);
    let mut rows: Vec<[String; 3]> = Vec::new();
    for part in &status.parts {
        let state = part.address.as_ref().map_or(part.state.clone(), |a| format!("{}, {a}", part.state));
        rows.push([part.name.clone(), mark(part.ready), state]);
    }
    for node in &status.nodes {
        let state = if node.ready { "Ready" } else { "not Ready" };
        rows.push([
            format!("kubelet `{}`", node.name),
            mark(node.ready),
            format!("{state}, {}", node.version),
        ]);
    }
    for service in &status.services {
        let state = format!("{}/{} ready", service.ready, service.wanted);
        let name = format!("deployment `{}` in `{}`", service.name, service.namespace);
        rows.push([name, mark(service.ready >= service.wanted), state]);
    }
    text.push_str(&table::columns(&rows));
    if !status.urls.is_empty() {
        text.push('\n');
    }
    for url in &status.urls {
        text.push_str(&format!("  {url}\n"));
    }
    for warning in &status.warnings {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    if !status.warnings.is_empty() {
        text.push_str("\n`meshy check --certs` shows each certificate\n");
    }
    if !status.missing.is_empty() {
        text.push_str("\nmissing:\n");
        for missing in &status.missing {
            text.push_str(&format!("  {}  (`{}`)\n", missing.what, missing.repair));
        }
    }
    text
}

fn mark(ready: bool) -> String {
    if ready { "ok" } else { "not ready" }.to_owned()
}
