//! Where requests go: to a Service of the cluster or elsewhere, and how from this machine.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Service as CoreService;
use kube::api::Api;
use meshy_base::error::{Advise as _, Exit};
use meshy_kube::failure;
use meshy_lab::{cluster, lab};
use meshy_load::{Target, TargetSpec, Targets};
use meshy_metrics::routes::Service;
use meshy_policy::{check_service, services};
use tokio_util::task::AbortOnDropHandle;

use super::{Args, targets};
use crate::context::Context;
use crate::forward::PodForward;
use crate::original_demo::{self, cases};
use crate::service_url::ServiceUrl;

/// The hint for a URL that may mean a host outside of the cluster.
const OTHER_DNS: &str = "a host outside of the cluster ends with a dot: http://example.com./";

/// Where the requests of this machine go and what is looked at meanwhile.
pub(super) struct Destination {
    pub(super) targets: Targets,
    pub(super) case: String,
    pub(super) seen: Option<(kube::Client, Service)>,
    /// Port-forwards live as long as these.
    _forwards: Vec<AbortOnDropHandle<()>>,
}

/// Aims at one of the original demo's cases.
///
/// # Errors
/// There is no lab, or it has no ingress.
pub(super) async fn case(context: &Context, args: &Args) -> anyhow::Result<Destination> {
    let mut target = cases::target(&args.case, ingress(context)?)?;
    args.headers.iter().try_for_each(|header| target.header(header))?;
    let seen = Some((context.client().await?, observed(args).unwrap_or_else(original_demo::bounced)));
    Ok(Destination { targets: target.into(), case: args.case.clone(), seen, _forwards: Vec::new() })
}

/// Aims at URLs from this machine: at Services by port-forwards.
///
/// # Errors
/// A host is unknown, or a Service has no ready pod.
pub(super) async fn urls(
    context: &Context,
    args: &Args,
    specs: &[TargetSpec],
    service: Option<&ServiceUrl>,
) -> anyhow::Result<Destination> {
    let (mut all, mut forwards, mut client) = (Vec::new(), Vec::new(), None);
    for spec in specs {
        let target = match named_in(context, &spec.url).await? {
            // Any other URL may lead anywhere: nothing is known of a mesh there.
            None => match targets::local(args, spec).await {
                Err(error) if has_cluster(context)? => {
                    // A host that no DNS has was meant as a Service.
                    check(context, args, std::slice::from_ref(spec)).await?;
                    return Err(error);
                }
                target => target?,
            },
            Some(ServiceUrl { service, port, .. }) => {
                let api = context.client().await?;
                services::pods(&api, &service.namespace, &service.name).await?;
                let (address, task) = forward(context, &api, &service, port).await?;
                forwards.push(task);
                client = Some(api);
                Target { server: address.into(), ..spec.target()? }
            }
        };
        all.push((target, spec.weight.unwrap_or(1)));
    }
    if service.is_some() {
        context.report.warn(
            "requests go through a port-forward, past the proxies of clients: retries, timeouts and authorization of clients \
             are not measured, and the port-forward adds latency; `--senders 1` sends from a pod",
        );
    }
    let seen = match observed(args) {
        Some(service) => Some((context.client().await?, service)),
        None => client.zip(service.map(|named| measured(specs, &named.service))),
    };
    let case = described(specs);
    Ok(Destination { targets: targets::weighted(all)?, case, seen, _forwards: forwards })
}

/// What the targets are called in a record.
pub(super) fn described(specs: &[TargetSpec]) -> String {
    match specs {
        [] => String::new(),
        [one] => one.url.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.url, rest.len()),
    }
}

/// The service of `--outcomes`: one behind the one that is called, in its namespace if none is given.
pub(super) fn observed(args: &Args) -> Option<Service> {
    let called = args.url.as_deref().and_then(ServiceUrl::of).map(|url| url.service.namespace);
    let namespace = args.namespace.clone().or(called).unwrap_or_else(|| "default".to_owned());
    args.outcomes.clone().map(|name| Service { namespace, name })
}

/// The service whose counts are read: a bounce ends at another service, and that is the one whose retries count.
pub(super) fn measured(specs: &[TargetSpec], service: &Service) -> Service {
    let body = specs.first().and_then(|spec| spec.body.as_deref());
    body.and_then(asked_by_bounce).unwrap_or_else(|| service.clone())
}

async fn forward(
    context: &Context,
    client: &kube::Client,
    service: &Service,
    remote: u16,
) -> anyhow::Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let forward = PodForward {
        client: client.clone(),
        namespace: service.namespace.clone(),
        target: format!("svc/{}", service.name),
        remote,
    };
    let (address, carried) = forward.open(context.report.clone()).await?;
    let report = context.report.clone();
    let task = tokio::spawn(async move {
        if let Err(error) = carried.await {
            report.warn(format!("the port-forward ended: {}", failure::plain(&error)));
        }
    });
    Ok((address, AbortOnDropHandle::new(task)))
}

/// Returns the Service that a URL names. A host such as `cart.shop` is one only if there is a cluster with that Service.
///
/// # Errors
/// The cluster cannot be read, or has that namespace without that Service.
pub(super) async fn named_in(context: &Context, url: &str) -> anyhow::Result<Option<ServiceUrl>> {
    let Some(named) = ServiceUrl::of(url) else { return Ok(None) };
    if named.sure {
        return Ok(Some(named));
    }
    if !has_cluster(context)? {
        return Ok(None);
    }
    let client = context.client().await?;
    let Service { namespace, name } = &named.service;
    let services: Api<CoreService> = Api::namespaced(client.clone(), namespace);
    match services.get_opt(name).await {
        Ok(Some(_)) => return Ok(Some(named)),
        Ok(None) => {}
        // A user without the right to read Services there cannot measure them either.
        Err(error) if failure::is_forbidden(&error) => return Ok(None),
        Err(error) => {
            let asked = format!("cannot find out whether `{url}` names a service of the cluster");
            return Err(error).context(asked).hint(OTHER_DNS);
        }
    }
    if services::has_namespace(&client, namespace).await? == Some(true) {
        named.check(&client, url).await?;
    }
    Ok(None)
}

fn has_cluster(context: &Context) -> anyhow::Result<bool> {
    Ok(context.context.is_some() || context.lab()?.is_some())
}

/// Checks each Service that a load is for, as pods find it, before any pod is made.
///
/// # Errors
/// There is no such Service or port; the cluster cannot be read.
pub(super) async fn check(context: &Context, args: &Args, specs: &[TargetSpec]) -> anyhow::Result<()> {
    let namespace = args.namespace.as_deref().unwrap_or("default");
    for spec in specs {
        let Some(named) = ServiceUrl::in_pod(&spec.url, namespace) else { continue };
        let client = context.client().await?;
        let checked = named.check(&client, &spec.url).await;
        let is_unclear = checked.is_err() && !named.sure;
        let is_unclear =
            is_unclear && services::has_namespace(&client, &named.service.namespace).await? != Some(true);
        report(context, if is_unclear { checked.hint(OTHER_DNS) } else { checked }?);
    }
    Ok(())
}

/// Checks that the service of `--outcomes` is there.
///
/// # Errors
/// There is no such Service; the cluster cannot be read.
pub(super) async fn check_observed(context: &Context, args: &Args) -> anyhow::Result<()> {
    let Some(Service { namespace, name }) = observed(args) else { return Ok(()) };
    let checked = check_service(&context.client().await?, (&namespace, &name), None).await;
    report(context, checked.context("cannot read the counts of `--outcomes`")?);
    Ok(())
}

fn report(context: &Context, note: Option<String>) {
    note.iter().for_each(|note| context.report.warn(note));
}

/// The service that the body of a `/bounce` names.
fn asked_by_bounce(body: &str) -> Option<Service> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    ServiceUrl::of(body["endpoint"].as_str()?).map(|named| named.service)
}

/// Where the lab's ingress listens.
///
/// # Errors
/// There is no lab, or it has no ingress.
pub(in crate::commands) fn ingress(context: &Context) -> anyhow::Result<SocketAddr> {
    let lab = context.lab()?;
    let Some(lab) = lab else {
        return Err(lab::absent(&context.name));
    };
    let port = cluster::ingress_port(&lab).ok_or_else(|| anyhow!("lab `{}` has no ingress", lab.name));
    let port = port
        .hint("`meshy up --ingress nginx` installs one; `--url URL` needs none")
        .exit(Exit::Prerequisite)?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounce_is_about_the_service_that_it_names() {
        let order = r#"{"rebound":"true","endpoint":"http://far.there.svc.cluster.local:9090"}"#;
        assert_eq!(asked_by_bounce(order).unwrap().name, "far");
        assert_eq!(asked_by_bounce("not JSON").map(|service| service.name), None);
    }
}
