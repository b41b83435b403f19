//! What arrived at the services, by the counters of the proxies there: mutual TLS, rejected requests, and requests that no proxy of a
//! client counted.

use std::collections::BTreeMap;

use meshy_experiment::event::{EdgeCounts, Outcome, SENDER};
use meshy_metrics::Window;
use meshy_metrics::arrivals::{Arrivals, arrivals, rejections};

use super::ground::{INGRESS, Place};

/// Adds mutual TLS and rejected requests to the edges, and an edge for each service that received requests on none.
pub(super) fn complete(edges: &mut Vec<EdgeCounts>, window: &Window, place: &Place) {
    for service in place.names() {
        let mut by_client: BTreeMap<String, Arrivals> = BTreeMap::new();
        for (identity, found) in arrivals(window, &place.namespace, service) {
            let name = client(&identity, |name| place.names().any(|known| known == name));
            add(by_client.entry(name).or_default(), &found);
        }
        let is_known = edges.iter().any(|edge| edge.to == service);
        for (from, found) in by_client {
            match edges.iter_mut().find(|edge| edge.to == service && edge.from == from) {
                Some(edge) => edge.attempts_mutual_tls = Some(found.mutual_tls_count.min(edge.attempts)),
                // Names of accounts and of workloads may differ: such attempts are counted on an edge already.
                None if is_known => {}
                None => edges.push(edge(from, service, &found)),
            }
        }
        for (identity, rejected) in rejections(window, &place.namespace, service) {
            let from = client(&identity, |name| place.names().any(|known| known == name));
            let Some(edge) = edges.iter_mut().find(|edge| edge.to == service && edge.from == from) else {
                continue;
            };
            for (outcome, count) in [
                (Outcome::Denied, rejected.denied_count),
                (Outcome::RateLimited, rejected.rate_limited_count),
            ] {
                if count > 0 {
                    *edge.outcomes.entry(outcome).or_default() += count;
                }
            }
        }
    }
}

/// Returns a line for each connection between services with the identities that the labels of the proxies have.
pub(super) fn identities(window: &Window, place: &Place) -> Vec<String> {
    let mut lines = Vec::new();
    for service in place.names() {
        for (identity, found) in arrivals(window, &place.namespace, service) {
            let from = client(&identity, |name| place.names().any(|known| known == name));
            if found.mutual_tls_count == 0 {
                lines.push(format!(
                    "{from} -> {service}: plain text, the proxy of {service} has no identity of the client"
                ));
                continue;
            }
            let server = server(window, place, (&from, service)).unwrap_or_else(|| "unknown".to_owned());
            lines.push(format!("{from} -> {service}: mutual TLS, client {identity}, server {server}"));
        }
    }
    lines
}

/// Returns the identity of a service as the proxies of a client have it in their labels.
fn server(window: &Window, place: &Place, (from, to): (&str, &str)) -> Option<String> {
    let is_client = |pod: &&meshy_metrics::PodWindow| {
        from == "ingress" && pod.pod.namespace == INGRESS
            || pod.pod.namespace == place.namespace && pod.pod.workload.name == from
    };
    let mut series = window.pods.iter().filter(is_client).flat_map(|pod| pod.change.of("response_total"));
    let prefix = format!("{to}.{}.", place.namespace);
    series.find_map(|(series, _)| {
        let server = series.label("server_id").filter(|_| series.is("direction", "outbound"))?;
        server.starts_with(&prefix).then(|| server.into_owned())
    })
}

/// Returns the name of a client in edges from its identity, such as `web.shop.serviceaccount.identity.linkerd.cluster.local`. A
/// client without an identity, or with one of no service, sends the load.
fn client(identity: &str, is_service: impl Fn(&str) -> bool) -> String {
    let mut labels = identity.split('.');
    match (labels.next(), labels.next()) {
        (Some(_), Some(INGRESS)) => "ingress".to_owned(),
        (Some(account), Some(_)) if is_service(account) => account.to_owned(),
        _ => SENDER.to_owned(),
    }
}

fn add(sum: &mut Arrivals, found: &Arrivals) {
    sum.responses_count += found.responses_count;
    sum.succeeded_count += found.succeeded_count;
    sum.mutual_tls_count += found.mutual_tls_count;
    for (status, count) in &found.statuses {
        *sum.statuses.entry(status.clone()).or_default() += count;
    }
}

fn edge(from: String, to: &str, found: &Arrivals) -> EdgeCounts {
    EdgeCounts {
        from,
        to: to.to_owned(),
        requests: found.responses_count,
        succeeded: found.succeeded_count,
        attempts: found.responses_count,
        attempts_succeeded: found.succeeded_count,
        attempts_mutual_tls: Some(found.mutual_tls_count),
        statuses: found.statuses.clone(),
        ..EdgeCounts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_by_its_account_where_that_is_a_service() {
        let of = |identity: &str| client(identity, |name| name == "web");
        let rest = "serviceaccount.identity.linkerd.cluster.local";
        assert_eq!(of(&format!("web.shop.{rest}")), "web");
        assert_eq!(of(&format!("default.shop.{rest}")), SENDER);
        assert_eq!(of(&format!("ingress-nginx.{INGRESS}.{rest}")), "ingress");
        assert_eq!(of(""), SENDER);
    }
}
