//! Which Server or default policy decides about the callers of a Service, and its rate limits.
//!
//! Facts: the oldest Server whose selector and port match a pod applies; without one the annotation of the pod, of its namespace
//! or the default of the cluster does (Linkerd's `policy-controller/k8s/index/src/inbound`; rows e01 to e05).

use std::collections::BTreeSet;

use super::servers::{Inbound, ServerPod};
use super::{Effective, Field, RateLimit, Setting, Source, authorized, words};
use crate::inbound::{DefaultPolicy, Override, Port, RateLimitPolicy, Server};

/// What decides about the callers of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decides {
    /// Nothing: the pod has no proxy.
    NoProxy,
    /// The Server with this index.
    Server(usize),
    /// A default policy.
    Default(DefaultPolicy, Source),
}

/// Adds who may call, at most a line for each different policy of a port, and the lowest rate limit.
pub(super) fn add(inbound: &Inbound, namespace: &str, found: &mut Effective) {
    for (object, why) in &inbound.invalid {
        found.ignore(object, "all fields", why);
    }
    let ports = ports(inbound);
    let servers: Vec<usize> = ports
        .iter()
        .filter_map(|(decides, _)| match decides {
            Decides::Server(index) => Some(*index),
            _ => None,
        })
        .collect();
    let of_server = |index: &usize| rate_limit(inbound, namespace, &inbound.servers[*index].0);
    let limits: Vec<RateLimit> = servers.iter().filter_map(of_server).collect();
    found.shared.push(words::rate_limit(&limits));
    if inbound.pods.is_empty() {
        let why = "no pod of the Service runs";
        let value = "unknown".to_owned();
        found.shared.push(Setting { field: Field::Callers, value, source: Source::Default, why });
    }
    for (decides, numbers) in &ports {
        let mut setting = setting(decides, inbound, namespace, found);
        if ports.len() > 1 {
            let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
            setting.value = format!("port {}: {}", numbers.join(", "), setting.value);
        }
        found.shared.push(setting);
    }
    for (index, (name, server)) in inbound.servers.iter().enumerate() {
        let older = servers.iter().find(|winner| **winner < index && same_port(inbound, **winner, server));
        if let Some(older) = older.filter(|_| !servers.contains(&index)) {
            let why = format!("the older Server {} selects the same port", inbound.servers[*older].0);
            found.ignore(format!("Server {name}"), "all fields", why);
        }
    }
}

/// Whether a pod of the Service has a port that both Servers select.
fn same_port(inbound: &Inbound, winner: usize, server: &Server) -> bool {
    let winner = &inbound.servers[winner].1;
    inbound.pods.iter().any(|pod| {
        let number = number(pod, &server.port);
        server.pod_selector.selects(&pod.labels)
            && winner.pod_selector.selects(&pod.labels)
            && number.is_some()
            && number == self::number(pod, &winner.port)
    })
}

/// Returns what decides about the ports of the Service, with their numbers.
fn ports(inbound: &Inbound) -> Vec<(Decides, BTreeSet<u16>)> {
    let mut found: Vec<(Decides, BTreeSet<u16>)> = Vec::new();
    for pod in &inbound.pods {
        for number in inbound.ports.iter().filter_map(|port| number(pod, port)) {
            let decides = decides(inbound, pod, number);
            match found.iter_mut().find(|(known, _)| *known == decides) {
                Some((_, numbers)) => drop(numbers.insert(number)),
                None => found.push((decides, BTreeSet::from([number]))),
            }
        }
    }
    found
}

fn number(pod: &ServerPod, port: &Port) -> Option<u16> {
    match port {
        Port::Number(number) => Some(*number),
        Port::Name(name) => pod.named_ports.get(name).copied(),
    }
}

fn decides(inbound: &Inbound, pod: &ServerPod, port: u16) -> Decides {
    if !pod.meshed {
        return Decides::NoProxy;
    }
    let selects =
        |server: &Server| number(pod, &server.port) == Some(port) && server.pod_selector.selects(&pod.labels);
    if let Some(index) = inbound.servers.iter().position(|(_, server)| selects(server)) {
        return Decides::Server(index);
    }
    let sources = [
        (&pod.annotated, Source::Pod),
        (&inbound.of_namespace, Source::Namespace),
        (&pod.of_proxy, Source::Default),
    ];
    // An invalid value is ignored.
    let named = sources.into_iter().find_map(|(text, source)| Some((text.as_ref()?.parse().ok()?, source)));
    let (policy, source) = named.unwrap_or((DefaultPolicy::default(), Source::Default));
    Decides::Default(policy, source)
}

fn setting(decides: &Decides, inbound: &Inbound, namespace: &str, found: &mut Effective) -> Setting {
    let setting = |value, source, why| Setting { field: Field::Callers, value, source, why };
    match decides {
        Decides::NoProxy => {
            let why = "the pods have no proxy, which would enforce a policy";
            setting(authorized::EVERYONE.to_owned(), Source::Default, why)
        }
        Decides::Default(policy, source) => {
            let why = match source {
                Source::Default => "no Server selects the port",
                _ => "config.linkerd.io/default-inbound-policy, no Server selects the port",
            };
            setting(format!("{} ({policy})", authorized::by_default(*policy)), source.clone(), why)
        }
        Decides::Server(index) => {
            let (name, server) = &inbound.servers[*index];
            let allowed = authorized::by_server(inbound, namespace, name, server, found);
            let routes = inbound.routes.iter().any(|route| route.server == *name);
            let why = match (allowed.is_empty(), routes) {
                (_, true) => "the oldest Server of the port; what none of its routes matches is a 404",
                (true, false) => "the oldest Server of the port, and no policy allows a caller",
                (false, false) => "the oldest Server of the port",
            };
            let value = if allowed.is_empty() { authorized::NO_ONE.to_owned() } else { allowed };
            setting(value, Source::Server(name.clone()), why)
        }
    }
}

/// Returns the requests per second of an override, and its ServiceAccounts.
fn overridden(one: &Override, namespace: &str) -> (u32, Vec<String>) {
    let clients = one.clients.iter().map(|client| authorized::account(client, namespace));
    (one.requests_per_second, clients.collect())
}

fn rate_limit(inbound: &Inbound, namespace: &str, server: &str) -> Option<RateLimit> {
    let concerns = |policy: &RateLimitPolicy| policy.target.kind == "Server" && policy.target.name == server;
    let (name, policy) = inbound.rate_limits.iter().find(|(_, policy)| concerns(policy))?;
    Some(RateLimit {
        name: name.clone(),
        total: policy.total.map(|limit| limit.requests_per_second),
        identity: policy.identity.map(|limit| limit.requests_per_second),
        overrides: policy.overrides.iter().map(|one| overridden(one, namespace)).collect(),
    })
}
