//! `stat`: one row a workload, pod, namespace or service, counted where its requests arrive.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::latency::{Buckets, Percentiles};
use super::pods::Pod;
use super::ratio::share;
use super::series::Series;
use super::window::Window;

/// The port on which experiments control the test service; requests there are not those of a client.
pub(super) const TEST_ADMIN_PORT: &str = "9091";

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Row {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Pods with a proxy; null for services.
    pub meshed_count: Option<u64>,
    /// Pods that have not failed or ended; null for services.
    pub pods_count: Option<u64>,
    /// The share of responses that count as a success; null without responses.
    pub success_ratio: Option<f64>,
    /// Responses.
    pub responses_count: u64,
    /// Responses per second of the window; null without responses.
    pub requests_per_second: Option<f64>,
    /// The latency of the responses.
    pub latency: Percentiles,
    /// Connections that are open now; null without a proxy.
    pub open_connections_count: Option<u64>,
}

/// What rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Workloads of this kind, as the pods' labels name it.
    Workload(&'static str),
    /// Pods.
    Pod,
    /// Namespaces.
    Namespace,
    /// Services, as their clients count them.
    Service,
}

impl By {
    /// Reads a kind as kubectl spells it.
    pub fn parse(kind: &str) -> Option<Self> {
        Some(match kind.to_lowercase().as_str() {
            "deploy" | "deployment" | "deployments" => Self::Workload("deployment"),
            "sts" | "statefulset" | "statefulsets" => Self::Workload("statefulset"),
            "ds" | "daemonset" | "daemonsets" => Self::Workload("daemonset"),
            "rs" | "replicaset" | "replicasets" => Self::Workload("replicaset"),
            "job" | "jobs" => Self::Workload("job"),
            "po" | "pod" | "pods" => Self::Pod,
            "ns" | "namespace" | "namespaces" => Self::Namespace,
            "svc" | "service" | "services" => Self::Service,
            _ => return None,
        })
    }
}

#[derive(Default)]
struct Sums {
    row: Row,
    good: u64,
    bad: u64,
    buckets: Buckets,
}

/// The table. `pods` are all pods in question, meshed or not; `window` holds the meshed ones.
pub fn table(window: &Window, pods: &[Pod], by: By, with_probes: bool) -> Vec<Row> {
    if by == By::Service {
        return services(window);
    }
    let key = |pod: &Pod| -> Option<(String, String)> {
        let name = match by {
            By::Workload(kind) if pod.workload.kind == kind => pod.workload.name.clone(),
            By::Workload(_) => return None,
            By::Pod => pod.name.clone(),
            By::Namespace | By::Service => pod.namespace.clone(),
        };
        Some((pod.namespace.clone(), name))
    };
    let mut rows: BTreeMap<(String, String), Sums> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !matches!(pod.phase.as_str(), "Failed" | "Succeeded")) {
        let Some(key) = key(pod) else { continue };
        let row = &mut rows.entry(key).or_default().row;
        *row.pods_count.get_or_insert(0) += 1;
        *row.meshed_count.get_or_insert(0) += u64::from(pod.meshed);
    }
    for pod in &window.pods {
        let Some(sums) = key(&pod.pod).and_then(|key| rows.get_mut(&key)) else { continue };
        let counted = |s: &Series| s.is("direction", "inbound") && arrives_at_application(s, with_probes);
        add(sums, &pod.change, &counted);
        let open = pod.change.sum("tcp_open_connections", |s| counted(s) && s.is("peer", "src"));
        *sums.row.open_connections_count.get_or_insert(0) += open as u64;
    }
    finish(rows, window)
}

fn services(window: &Window) -> Vec<Row> {
    let mut rows: BTreeMap<(String, String), Sums> = BTreeMap::new();
    for pod in &window.pods {
        let named = |s: &Series| {
            let authority = s.label("authority")?;
            let mut parts = authority.split([':', '.']);
            let (name, namespace) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            (parts.next() == Some("svc") && s.is("direction", "outbound")).then_some((namespace, name))
        };
        let known: std::collections::BTreeSet<_> =
            pod.change.of("response_total").filter_map(|(s, _)| named(s)).collect();
        for key in known {
            let sums = rows.entry(key.clone()).or_default();
            let counted = |s: &Series| named(s).as_ref() == Some(&key);
            add(sums, &pod.change, &counted);
            let open = pod.change.sum("tcp_open_connections", |s| counted(s) && s.is("peer", "dst"));
            *sums.row.open_connections_count.get_or_insert(0) += open as u64;
        }
    }
    finish(rows, window)
}

fn add(sums: &mut Sums, change: &super::series::Scrape, counted: &impl Fn(&Series) -> bool) {
    let good = |s: &Series| s.is("classification", "success");
    sums.good += change.sum("response_total", |s| counted(s) && good(s)) as u64;
    sums.bad += change.sum("response_total", |s| counted(s) && !good(s)) as u64;
    sums.buckets.add(change, "response_latency_ms_bucket", counted);
}

fn finish(rows: BTreeMap<(String, String), Sums>, window: &Window) -> Vec<Row> {
    let seconds = window.length.as_secs_f64();
    let finish = |((namespace, name), sums): ((String, String), Sums)| {
        let answers = sums.good + sums.bad;
        Row {
            namespace,
            name,
            success_ratio: share(sums.good, sums.bad),
            responses_count: answers,
            requests_per_second: (answers > 0 && seconds > 0.0).then(|| answers as f64 / seconds),
            latency: sums.buckets.percentiles(),
            ..sums.row
        }
    };
    rows.into_iter().map(finish).collect()
}

/// Kubelet's probes count as traffic only on request; what arrives at the proxy's own admin port (probes of the proxy,
/// these very scrapes) never is. Neither is what meshy itself asks of the test service while it measures: on a real Linkerd a
/// port-forward passes the pod's proxy, as requests of a client without an identity.
pub(super) fn arrives_at_application(series: &Series, with_probes: bool) -> bool {
    let is_probe = series.is("route_name", "probe");
    let controls = series.is("target_port", TEST_ADMIN_PORT)
        && !is_probe
        && series.label("client_id").is_none_or(|client| client.is_empty());
    !series.is("target_port", "4191") && !controls && (with_probes || !is_probe)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{PodWindow, text};

    fn pod(name: &str, meshed: bool) -> Pod {
        Pod { meshed, ..Pod::example("default", &format!("{name}-0")) }
    }

    fn window(dump: &str) -> Window {
        let change = text::parse(dump).unwrap();
        let pods = vec![PodWindow { pod: pod("a", true), change }];
        Window { length: Duration::from_secs(10), pods, gaps: Vec::new() }
    }

    #[test]
    fn probes_count_only_when_asked_for_and_the_admin_port_never() {
        let dump = include_str!("../../../tests/fixtures/proxy-server.prom");
        let pods = [pod("a", true), pod("b", false)];
        let by = By::Workload("deployment");
        let rows = table(&window(dump), &pods, by, false);
        assert_eq!(rows[0].responses_count, 9651);
        assert!((rows[0].success_ratio.unwrap() - 2875.0 / 9651.0).abs() < 1e-9);
        assert_eq!((rows[0].meshed_count, rows[0].pods_count), (Some(1), Some(1)));
        assert_eq!((rows[1].meshed_count, rows[1].success_ratio), (Some(0), None));
        assert_eq!(table(&window(dump), &pods, by, true)[0].responses_count, 9651 + 380);
    }

    #[test]
    fn what_meshy_asks_of_the_test_service_is_no_traffic() {
        let line = |labels: &str| {
            format!("response_total{{direction=\"inbound\",classification=\"success\",{labels}}} 7\n")
        };
        let dump = [
            line(r#"target_port="9091",tls="no_identity""#),
            line(r#"target_port="9091",tls="true",client_id="web.default""#),
            line(r#"target_port="9090",tls="no_identity""#),
        ];
        let rows = table(&window(&dump.concat()), &[pod("a", true)], By::Pod, false);
        assert_eq!(rows[0].responses_count, 14);
    }

    #[test]
    fn a_service_is_counted_by_its_clients() {
        let dump = include_str!("../../../tests/fixtures/proxy-client.prom");
        let rows = table(&window(dump), &[], By::Service, false);
        assert_eq!((rows[0].name.as_str(), rows[0].responses_count), ("bounced-service", 1452 + 3352));
        assert_eq!(rows[0].meshed_count, None);
    }

    #[test]
    fn no_traffic_is_a_row_of_unknowns() {
        let rows = table(&window(""), &[pod("a", true)], By::Pod, false);
        assert_eq!((rows[0].success_ratio, rows[0].requests_per_second), (None, None));
        assert_eq!(rows[0].latency, Percentiles::default());
    }
}
