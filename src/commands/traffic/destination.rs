//! Where requests go: to a Service of the cluster or elsewhere, and how from this machine.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::anyhow;
use meshy_base::error::{Advise as _, Exit};
use meshy_kube::failure;
use meshy_lab::{cluster, lab};
use meshy_load::{Target, TargetSpec, Targets};
use meshy_metrics::routes::Service;
use meshy_policy::services;
use tokio_util::task::AbortOnDropHandle;

use super::{Args, targets};
use crate::context::Context;
use crate::forward::PodForward;
use crate::original_demo::{self, cases};

/// Where the requests of this machine go and what is looked at meanwhile.
pub(super) struct Destination {
    pub(super) targets: Targets,
    pub(super) case: String,
    pub(super) seen: Option<(kube::Client, Service)>,
    /// Port-forwards live as long as these.
    _forwards: Vec<AbortOnDropHandle<()>>,
}

/// A Service of the cluster and one of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) service: Service,
    pub(super) port: u16,
    /// The host ends with `.svc` or `.svc.cluster.local`; without that it may be a host of another name.
    sure: bool,
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
    service: Option<&Named>,
) -> anyhow::Result<Destination> {
    let (mut all, mut forwards, mut client) = (Vec::new(), Vec::new(), None);
    for spec in specs {
        let target = match named_in(context, &spec.url).await? {
            // Any other URL may lead anywhere: nothing is known of a mesh there.
            None => targets::local(args, spec).await?,
            Some(Named { service, port, .. }) => {
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

/// The service of `--outcomes`: one behind the one that is called.
pub(super) fn observed(args: &Args) -> Option<Service> {
    let namespace = args.namespace.clone().unwrap_or_else(|| "default".to_owned());
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
/// The cluster cannot be read.
pub(super) async fn named_in(context: &Context, url: &str) -> anyhow::Result<Option<Named>> {
    let Some(named) = named(url) else { return Ok(None) };
    if named.sure {
        return Ok(Some(named));
    }
    if context.context.is_none() && context.lab()?.is_none() {
        return Ok(None);
    }
    let api: kube::Api<k8s_openapi::api::core::v1::Service> =
        kube::Api::namespaced(context.client().await?, &named.service.namespace);
    // Who may not read Services there does not measure them either.
    let found = api.get_opt(&named.service.name).await.ok().flatten();
    Ok(found.map(|_| named))
}

/// The Service and port that a URL means when its host is a name of the cluster's own DNS: `NAME.NAMESPACE`, with or without
/// `.svc` or `.svc.cluster.local`.
fn named(url: &str) -> Option<Named> {
    let parsed: http::Uri = url.parse().ok()?;
    let authority = parsed.authority().filter(|_| matches!(parsed.scheme_str(), Some("http" | "grpc")))?;
    let host = authority.host().strip_suffix(".cluster.local").unwrap_or(authority.host());
    let (host, sure) = host.strip_suffix(".svc").map_or((host, false), |host| (host, true));
    let (name, namespace) = host.split_once('.')?;
    let is_label = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
    };
    let service = Service { namespace: namespace.to_owned(), name: name.to_owned() };
    let port = authority.port_u16().unwrap_or(80);
    (is_label(name) && is_label(namespace)).then_some(Named { service, port, sure })
}

/// The service that the body of a `/bounce` names.
fn asked_by_bounce(body: &str) -> Option<Service> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    named(body["endpoint"].as_str()?).map(|named| named.service)
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
    fn a_name_of_the_cluster_is_a_service_and_a_port() {
        let found = |url| {
            named(url).map(|named| (named.service.name, named.service.namespace, named.port, named.sure))
        };
        let wanted = |port, sure| Some(("a".to_owned(), "b".to_owned(), port, sure));
        assert_eq!(found("http://a.b.svc.cluster.local:9090/x"), wanted(9090, true));
        assert_eq!(found("http://a.b.svc/"), wanted(80, true));
        assert_eq!(found("http://a.b:8080/"), wanted(8080, false));
        assert_eq!(found("grpc://a.b:8080/shop.Cart/Add"), wanted(8080, false));
        for other in
            ["http://127.0.0.1:80/", "https://a.b.svc/", "http://x.a.b.svc/", "a.b.svc", "http://localhost/"]
        {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn a_bounce_is_about_the_service_that_it_names() {
        let order = r#"{"rebound":"true","endpoint":"http://far.there.svc.cluster.local:9090"}"#;
        assert_eq!(asked_by_bounce(order).unwrap().name, "far");
        assert_eq!(asked_by_bounce("not JSON").map(|service| service.name), None);
    }
}
