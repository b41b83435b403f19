//! Opens a lab for the page: what is there, and whether it may be changed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ListParams};
use meshy_experiment::event::RunStarted;
use meshy_kube::Kinds;
use meshy_lab::cluster;
use meshy_load::Target;
use meshy_page::control::{Fault, Load};
use meshy_page::{Hub, Mode, State};
use meshy_policy::{services, test_service};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Args;
use super::counts::Proxies;
use super::live::{self, Live};
use super::policies;
use super::sent::Sent;
use crate::context::Context;
use crate::original_demo;

/// The rate that the page proposes, in requests per second.
const RATE: f64 = 8.0;

/// Where a load can be sent.
struct Entry {
    service: String,
    target: Target,
    command: String,
}

/// Opens the lab. Returns it and the first event.
///
/// # Errors
/// There is no lab, or its API fails; the user does not consent to changes that `--allow-changes` asks for.
pub(super) async fn open(
    context: &Context,
    args: &Args,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<(Live, RunStarted)> {
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
    let provider = lab.as_ref().map_or("existing", |lab| cluster::word(lab.provider));
    let step = context.report.step("Reading", format!("the proxies and services of `{name}`"));
    let namespace = args.namespace.clone();
    let found = services::with_pods(&client, &namespace).await?;
    let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    let address = lab.as_ref().and_then(|lab| lab.http_port).map(|port| (Ipv4Addr::LOCALHOST, port).into());
    let entry = match address {
        Some(address) => entry(&client, &namespace, &names, address).await?,
        None => None,
    };
    let mut faults = Vec::new();
    for (service, pods) in found.iter().filter(|(_, pods)| !pods.is_empty()) {
        // Other programs than the test service have no faults to set.
        let Ok(fault) = test_service::fault(&client, pods).await else { continue };
        let percent = (fault.ratio() * 100.0).round() as u8;
        let command = format!("meshy fault {{}} {service} -n {namespace}");
        faults.push(Fault { service: service.clone(), percent, command });
    }
    let reason = "meshy did not create this cluster: `--allow-changes` turns the controls on";
    let state = State {
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
        policies: policies::list(&client, &namespace, &names).await,
        faults,
        ..State::default()
    };
    let proxies = Proxies::start(&client, &namespace).await?;
    step.done(format!("{} services", names.len()));
    let watched = names.iter().find(|name| *name == original_demo::CALLED).cloned();
    let (run, recorder) = live::recorder()?;
    let started = RunStarted {
        run,
        command: "dashboard".to_owned(),
        title: state.title.clone(),
        lab: name,
        provider: provider.to_owned(),
        versions: BTreeMap::from([("meshy".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        ..RunStarted::default()
    };
    let live = Live {
        hub: Hub::live(&state),
        watched: watched.or(entry.as_ref().map(|entry| entry.service.clone())),
        target: entry.map(|entry| entry.target),
        state,
        proxies,
        namespace,
        kinds: Kinds::new(client),
        report: context.report.clone(),
        stop,
        session: None,
        recorder,
        begun: Instant::now(),
        sent: Sent::default(),
        sending: None,
        refreshed: None,
    };
    Ok((live, started))
}

/// Finds where the ingress leads: the services of the original demo, else the first rule of an Ingress.
async fn entry(
    client: &kube::Client,
    namespace: &str,
    names: &[String],
    address: SocketAddr,
) -> anyhow::Result<Option<Entry>> {
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(original_demo::CALLER) && has(original_demo::CALLED) && namespace == "default" {
        let (service, command) = (original_demo::CALLER.to_owned(), "meshy traffic --rate {}".to_owned());
        return Ok(Some(Entry { service, target: Target::service_case(address), command }));
    }
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    let list = ingresses.list(&ListParams::default()).await.context("cannot list ingresses")?;
    for rule in list.items.into_iter().filter_map(|one| one.spec?.rules).flatten() {
        let path = rule.http.and_then(|http| http.paths.into_iter().next());
        let (Some(host), Some(path)) = (rule.host, path) else { continue };
        let Some(service) = path.backend.service.map(|service| service.name).filter(|name| has(name)) else {
            continue;
        };
        let command = format!("meshy traffic --rate {{}} --url http://{service}.{namespace}.svc:8080/");
        let target = Target::new(address, &host, path.path.as_deref().unwrap_or("/"))?;
        return Ok(Some(Entry { service, target, command }));
    }
    Ok(None)
}
