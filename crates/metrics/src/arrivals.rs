//! What arrived at a workload, by client, as its own proxies count it: also requests that no proxy of a client counted.

use std::collections::BTreeMap;

use super::series::Series;
use super::stat::{TEST_ADMIN_PORT, arrives_at_application};
use super::window::Window;

/// Attempts of one client that arrived at a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Attempts that got a response.
    pub responses_count: u64,
    /// Of these, those that succeeded.
    pub succeeded_count: u64,
    /// Of these, those over a connection with mutual TLS.
    pub mutual_tls_count: u64,
    /// By status.
    pub statuses: BTreeMap<String, u64>,
}

/// Returns the attempts that arrived at a workload in a window, by the identity of the client; clients without one share the
/// empty name. Probes of the kubelet are not part of it.
#[must_use]
pub fn arrivals(window: &Window, namespace: &str, workload: &str) -> BTreeMap<String, Arrivals> {
    let counted = |series: &Series| {
        series.is("direction", "inbound")
            && arrives_at_application(series, false)
            && !series.is("target_port", TEST_ADMIN_PORT)
    };
    let mut found: BTreeMap<String, Arrivals> = BTreeMap::new();
    let pods =
        window.pods.iter().filter(|pod| pod.pod.namespace == namespace && pod.pod.workload.name == workload);
    for (series, count) in pods.flat_map(|pod| pod.change.of("response_total")).filter(|(s, _)| counted(s)) {
        let count = count as u64;
        if count == 0 {
            continue;
        }
        let client = series.label("client_id").unwrap_or_default().into_owned();
        let of = found.entry(client).or_default();
        of.responses_count += count;
        of.succeeded_count += if series.is("classification", "success") { count } else { 0 };
        of.mutual_tls_count += if series.is("tls", "true") { count } else { 0 };
        let status = series.label("status_code").unwrap_or_default().into_owned();
        *of.statuses.entry(status).or_default() += count;
    }
    found
}

/// Returns the kubelet's probes that passed the proxies of a workload in a window and got a response of the application. Probes of
/// the port for experiments are not part of it: no policy applies to it.
#[must_use]
pub fn probes(window: &Window, namespace: &str, workload: &str) -> u64 {
    let counted = |series: &Series| {
        series.is("direction", "inbound")
            && series.is("route_name", "probe")
            && arrives_at_application(series, true)
            && !series.is("target_port", TEST_ADMIN_PORT)
    };
    let pods =
        window.pods.iter().filter(|pod| pod.pod.namespace == namespace && pod.pod.workload.name == workload);
    pods.map(|pod| pod.change.sum("response_total", counted) as u64).sum()
}

/// Requests of one client that the proxies of a workload rejected themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// By an authorization policy.
    pub denied_count: u64,
    /// By a rate limit.
    pub rate_limited_count: u64,
}

/// Returns the requests that the proxies of a workload rejected in a window, by the identity of the client; clients without one share
/// the empty name.
#[must_use]
pub fn rejections(window: &Window, namespace: &str, workload: &str) -> BTreeMap<String, Rejections> {
    let mut found: BTreeMap<String, Rejections> = BTreeMap::new();
    let pods =
        window.pods.iter().filter(|pod| pod.pod.namespace == namespace && pod.pod.workload.name == workload);
    for pod in pods {
        for (family, is_denied) in
            [("inbound_http_authz_deny_total", true), ("inbound_http_local_ratelimit_total", false)]
        {
            for (series, count) in pod.change.of(family).filter(|(_, count)| *count > 0.0) {
                let client = series.label("client_id").unwrap_or_default().into_owned();
                let of = found.entry(client).or_default();
                let counter = if is_denied { &mut of.denied_count } else { &mut of.rate_limited_count };
                *counter += count as u64;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Pod, PodWindow, text};

    #[test]
    fn attempts_are_counted_by_client_without_probes_and_without_the_admin_ports() {
        let line =
            |labels: &str, count: u64| format!("response_total{{direction=\"inbound\",{labels}}} {count}\n");
        let client = r#"tls="true",client_id="web.shop.serviceaccount.identity.linkerd.cluster.local""#;
        let dump = [
            line(&format!(r#"target_port="8080",{client},status_code="200",classification="success""#), 30),
            line(&format!(r#"target_port="8080",{client},status_code="503",classification="failure""#), 10),
            line(r#"target_port="8080",tls="no_identity",status_code="200",classification="success""#, 5),
            line(r#"target_port="8080",tls="no_identity",route_name="probe",status_code="200""#, 7),
            line(r#"target_port="9091",tls="no_identity",status_code="200""#, 7),
            line(r#"target_port="9091",tls="no_identity",route_name="probe",status_code="200""#, 3),
            line(r#"target_port="4191",tls="no_identity",status_code="200""#, 7),
        ]
        .concat();
        let pods = vec![pod(&dump)];
        let window = Window { length: Duration::from_secs(1), pods, gaps: Vec::new() };
        assert_eq!((probes(&window, "shop", "app"), probes(&window, "shop", "web")), (7, 0));
        let found = arrivals(&window, "shop", "app");
        let web = &found["web.shop.serviceaccount.identity.linkerd.cluster.local"];
        assert_eq!((web.responses_count, web.succeeded_count, web.mutual_tls_count), (40, 30, 40));
        assert_eq!(web.statuses["503"], 10);
        assert_eq!((found[""].responses_count, found[""].mutual_tls_count, found.len()), (5, 0, 2));
        assert!(arrivals(&window, "shop", "web").is_empty());
    }

    #[test]
    fn rejections_are_counted_by_client_and_kind() {
        let dump = "inbound_http_authz_deny_total{client_id=\"guest\",tls=\"true\"} 7\n\
                    inbound_http_authz_deny_total{tls=\"no_identity\"} 2\n\
                    inbound_http_local_ratelimit_total{client_id=\"guest\",tls=\"true\"} 4\n";
        let window = Window { length: Duration::from_secs(1), pods: vec![pod(dump)], gaps: Vec::new() };
        let found = rejections(&window, "shop", "app");
        assert_eq!(found["guest"], Rejections { denied_count: 7, rate_limited_count: 4 });
        assert_eq!(found[""], Rejections { denied_count: 2, rate_limited_count: 0 });
        assert!(rejections(&window, "shop", "web").is_empty());
    }

    fn pod(dump: &str) -> PodWindow {
        PodWindow { pod: Pod::example("shop", "app-0"), change: text::parse(dump).unwrap() }
    }
}
