//! Opens a lab for the page: what is there, and whether it may be changed.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ListParams};
use meshy_kube::Kinds;
use meshy_lab::cluster;
use meshy_load::Target;
use meshy_metrics::routes::Service;
use meshy_page::control::Load;
use meshy_page::{Hub, Mode, State};
use meshy_policy::services;
use tokio::sync::{mpsc, watch};

use super::Args;
use super::controls;
use super::counts::Counting;
use super::live::Page;
use super::record::{Live, Shown};
use super::scenario::{self, Order};
use crate::context::Context;
use crate::original_demo::{self, cases};

/// The rate that the page proposes, in requests per second.
const RATE: f64 = 8.0;

/// Where a load can be sent.
struct Entry {
    service: String,
    target: Target,
    command: String,
}

/// Opens the lab.
///
/// # Errors
/// There is no lab, or its API fails; the user does not consent to the changes of `--allow-changes`.
pub(super) async fn open(
    context: &Context,
    args: &Args,
    stop: watch::Receiver<bool>,
    orders: mpsc::Sender<Order>,
) -> anyhow::Result<Page> {
    let lab = context.used_lab()?;
    let is_made = lab.as_ref().is_some_and(cluster::is_made_by_meshy);
    if args.allow_changes && !is_made {
        let named =
            context.context.clone().or(lab.as_ref().map(|lab| lab.context.clone())).unwrap_or_default();
        cluster::consent(context, "change policies and faults in", &named)?;
    }
    let client = context.client().await?;
    let allowed = is_made || args.allow_changes;
    let name =
        lab.as_ref().map_or_else(|| context.context.clone().unwrap_or_default(), |lab| lab.name.to_string());
    let flags = match &context.context {
        Some(named) => format!(" --context {named}"),
        None => context.name_flag(),
    };
    let step = context.report.step("Reading", format!("the proxies and services of `{name}`"));
    let namespace = args.namespace.clone();
    let names = names(&client, &namespace).await?;
    let address = lab.as_ref().and_then(|lab| lab.http_port()).map(|port| (Ipv4Addr::LOCALHOST, port).into());
    let entry = match address {
        Some(address) => entry(&client, (&namespace, &flags), &names, address).await?,
        None => None,
    };
    let reason = "meshy did not create this cluster: `--allow-changes` turns the controls on";
    let mut state = State {
        mode: Mode::Live,
        title: format!("Lab {name}"),
        allowed,
        reason: (!allowed).then(|| reason.to_owned()),
        load: entry.as_ref().map(|entry| Load {
            running: false,
            rate: RATE,
            target: entry.service.clone(),
            command: entry.command.clone(),
        }),
        scenarios: scenario::list(&flags)?,
        ..State::default()
    };
    controls::read(&mut state, &client, &namespace, &flags).await?;
    let kinds = Kinds::new(client);
    let counting = Counting::start(&kinds, &namespace).await?;
    step.done(format!("{} services", names.len()));
    let called = names.iter().find(|name| *name == original_demo::CALLED).cloned();
    let watched = called.or(entry.as_ref().map(|entry| entry.service.clone()));
    let shown = Shown {
        title: state.title.clone(),
        lab: name,
        provider: lab.as_ref().map_or("existing", |lab| cluster::word(lab.provider())),
        target: entry.as_ref().map(|entry| entry.service.clone()),
        watched: watched.map(|name| Service { namespace: namespace.clone(), name }),
    };
    let hub = Hub::live(&state);
    let live = Live::begin(&hub, kinds.client(), &shown, &context.report).await?;
    Ok(Page {
        _counts: counting.follow(&hub),
        hub,
        state,
        counting,
        namespace,
        target: entry.map(|entry| entry.target),
        shown,
        flags,
        kinds,
        report: context.report.clone(),
        stop,
        session: None,
        live: Some(live),
        written: Ok(()),
        orders,
        running: None,
    })
}

async fn names(client: &kube::Client, namespace: &str) -> anyhow::Result<Vec<String>> {
    let found = services::with_pods(client, namespace).await?;
    Ok(found.into_iter().map(|(name, _)| name).collect())
}

/// Finds where the ingress leads: the services of the original demo, else the first rule of an Ingress.
async fn entry(
    client: &kube::Client,
    (namespace, flags): (&str, &str),
    names: &[String],
    address: SocketAddr,
) -> anyhow::Result<Option<Entry>> {
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(original_demo::CALLER) && has(original_demo::CALLED) && namespace == "default" {
        let (service, command) =
            (original_demo::CALLER.to_owned(), format!("meshy traffic --rate {{}}{flags}"));
        let target = cases::target(cases::DEFAULT, address)?;
        return Ok(Some(Entry { service, target, command }));
    }
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    let list = ingresses.list(&ListParams::default()).await.context("cannot list ingresses")?;
    for rule in list.items.into_iter().filter_map(|one| one.spec?.rules).flatten() {
        let path = rule.http.and_then(|http| http.paths.into_iter().next());
        let (Some(host), Some(path)) = (rule.host, path) else { continue };
        let Some(service) = path.backend.service.map(|service| service.name).filter(|name| has(name)) else {
            continue;
        };
        let command =
            format!("meshy traffic --rate {{}} --url http://{service}.{namespace}.svc:8080/{flags}");
        let target = Target::new(address, &host, path.path.as_deref().unwrap_or("/"))?;
        return Ok(Some(Entry { service, target, command }));
    }
    Ok(None)
}
