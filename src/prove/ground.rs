//! The cluster of one half of a proof: the service behind a meshed ingress, in this process and in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use meshy_base::Report;
use meshy_embedded::{Cluster, Options};
use meshy_kube::{Apply, Kinds, Manager, Object, manifest, wait};
use meshy_lab::addons::ingress_nginx;
use meshy_linkerd::names;
use meshy_linkerd::policy::Annotations;
use meshy_linkerd::profile::ServiceProfile;
use meshy_metrics::routes::{RouteCounts, Service, client_view};
use meshy_metrics::{Pod, Scrapes, Window, pods, scrape::POD_DEADLINE, scrape_pods};
use meshy_policy::{services, test_service};
use serde_json::{Value, json};
use tokio::time::Instant as Deadline;

use super::PORT;
use super::compare::{Outcomes, Response};
use super::probes::{Mode, Plan, Probe};
use crate::mesh::injection;

/// The image of the services, which the embedded cluster has built in.
const IMAGE: &str = "localhost:5000/minimal-service:v1.0.0";

/// The host of the ingress.
const HOST: &str = "prove.example.com";

/// The time between two requests of a probe.
const GAP: Duration = Duration::from_millis(20);

/// A request that takes longer counts as without a response.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Starts a cluster, applies the policy objects, sends the plan and returns the outcomes by mode and probe.
pub(super) async fn outcomes(
    (report, deadline): (&Report, Deadline),
    profile: &ServiceProfile,
    annotations: &Annotations,
    policies: Vec<Value>,
    plan: &Plan,
) -> anyhow::Result<Vec<Outcomes>> {
    let step = report.step("Starting", "an embedded cluster in this process");
    let options = Options { api_addr: None, ..Options::ephemeral("prove") };
    let cluster = Cluster::start(options).await.context("cannot start an embedded cluster");
    let cluster = step.ended(cluster, |_| String::new())?;
    let sent = async {
        let ground = Ground::prepare((report, deadline), &cluster, profile, annotations, policies).await?;
        ground.send(report, plan).await
    };
    let sent = sent.await;
    cluster.stop().await.context("cannot stop the embedded cluster")?;
    sent
}

struct Ground {
    kinds: Kinds,
    ingress: SocketAddr,
    service: Service,
    /// The services whose pods can get the requests.
    backends: Vec<String>,
}

impl Ground {
    async fn prepare(
        (report, deadline): (&Report, Deadline),
        cluster: &Cluster,
        profile: &ServiceProfile,
        annotations: &Annotations,
        policies: Vec<Value>,
    ) -> anyhow::Result<Self> {
        let (name, namespace) = profile.service().context("the ServiceProfile names no service")?;
        let service = Service { namespace: namespace.to_owned(), name: name.to_owned() };
        let (kinds, ingress) = (Kinds::new(cluster.client()), cluster.ingress_addr());
        let backends: BTreeSet<String> =
            backends(profile, &service).into_iter().chain([name.to_owned()]).collect();
        let mut objects = Vec::new();
        if namespace != "default" {
            objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        }
        for backend in &backends {
            let own = if backend == name { annotations.clone() } else { Annotations::new() };
            objects.extend(workload(backend, namespace, &own));
        }
        objects.push(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": HOST, "http": {"paths": [{
                "path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": PORT}}}}]}}]}}));
        // The ingress gets its proxy last, which then finds the policies in place.
        for all in [objects, policies] {
            let mut parsed: Vec<Object> = Vec::new();
            for value in all {
                parsed.extend(manifest::from_value(value)?);
            }
            let applied = Apply::new(&kinds, Manager::Manifests, deadline).run(parsed).await?;
            let applied: Vec<Object> = applied.into_iter().map(|one| one.object).collect();
            let step = report.step("Waiting", format!("for `{name}`"));
            let ready = wait::ready(&kinds, &applied, deadline, Some(&step)).await;
            step.ended(ready, |()| String::new())?;
        }
        injection::mesh_ingress(&kinds, report, deadline).await?;
        Ok(Self { kinds, ingress, service, backends: backends.into_iter().collect() })
    }

    async fn send(&self, report: &Report, plan: &Plan) -> anyhow::Result<Vec<Outcomes>> {
        let client = self.kinds.client();
        let mut servers: Vec<Pod> = Vec::new();
        for backend in &self.backends {
            servers.extend(services::pods(client, &self.service.namespace, backend).await?);
        }
        let mut found = Vec::new();
        for mode in &plan.modes {
            let step = report.step("Sending", format!("requests to a service that {}", verb(&mode.name)));
            test_service::change_fault(client, &servers, &mode.fault).await?;
            for probe in &plan.probes {
                let (before, received) = (self.proxies().await?, received(client, &servers).await?);
                let responses = self.responses(probe, mode).await;
                let window = Window::between(&before, &self.proxies().await?);
                let routes = client_view(window.pods.iter().map(|pod| &pod.change), &self.service);
                let mut counts = RouteCounts::default();
                routes.values().for_each(|route| counts.add(route));
                found.push(Outcomes {
                    mode: mode.name.clone(),
                    probe: probe.clone(),
                    attempts: self::received(client, &servers).await? - received,
                    proxy_succeeded: counts.succeeded_count,
                    proxy_failed: counts.failed_count,
                    responses,
                });
            }
            step.done(format!("{} of each probe", mode.count));
        }
        Ok(found)
    }

    /// The proxies of the ingress, which is the client of the service.
    async fn proxies(&self) -> anyhow::Result<Scrapes> {
        let pods = pods::list(self.kinds.client(), Some(ingress_nginx::NAMESPACE)).await?;
        Ok(scrape_pods(self.kinds.client(), pods, POD_DEADLINE).await)
    }

    /// Sends the requests of a probe, each a little after the one before, or in turn; returns the responses in the same order.
    async fn responses(&self, probe: &Probe, mode: &Mode) -> Vec<Response> {
        if mode.in_turn {
            let mut responses = Vec::new();
            for _ in 0..mode.count {
                responses.push(timed(self.ingress, probe).await);
            }
            return responses;
        }
        let each = (0..mode.count).map(|number| async move {
            tokio::time::sleep(GAP * u32::try_from(number).unwrap_or(u32::MAX)).await;
            timed(self.ingress, probe).await
        });
        futures::future::join_all(each).await
    }
}

fn verb(mode: &str) -> String {
    if mode == "good" { "responds 200".to_owned() } else { mode.to_owned() }
}

/// Requests that the pods have received.
async fn received(client: &kube::Client, servers: &[Pod]) -> anyhow::Result<u64> {
    let counts = test_service::counts(client, servers).await?;
    Ok(counts.iter().filter_map(|one| one["requests"].as_u64()).sum())
}

/// Sends a request and returns the response with its latency; a default response if there is none in time.
async fn timed(ingress: SocketAddr, probe: &Probe) -> Response {
    let begun = Instant::now();
    let response = tokio::time::timeout(TIMEOUT, request(ingress, probe)).await;
    let response = response.ok().and_then(Result::ok).unwrap_or_default();
    Response { latency: begun.elapsed(), ..response }
}

async fn request(ingress: SocketAddr, probe: &Probe) -> anyhow::Result<Response> {
    let stream = tokio::net::TcpStream::connect(ingress).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = http::Request::builder().method(probe.method.as_str()).uri(&probe.path);
    let request = request.header(http::header::HOST, HOST).body(Empty::<bytes::Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, error) = (response.status().as_u16(), header(names::PROXY_ERROR));
    let closes = header("l5d-proxy-connection").is_some();
    response.into_body().collect().await?;
    connection.abort();
    Ok(Response { status, error, closes, ..Response::default() })
}

/// The services of the namespace to which `dstOverrides` send requests.
fn backends(profile: &ServiceProfile, service: &Service) -> Vec<String> {
    let hosts = profile.spec.dst_overrides.iter().filter_map(|backend| backend.authority.split(':').next());
    let parsed = hosts.filter_map(names::parse_service_fqdn);
    parsed.filter(|(_, namespace)| *namespace == service.namespace).map(|(name, _)| name.to_owned()).collect()
}

fn workload(name: &str, namespace: &str, annotations: &Annotations) -> Vec<Value> {
    let labels = BTreeMap::from([("app", name)]);
    let metadata = json!({"name": name, "namespace": namespace});
    let container = json!({"name": "service", "image": IMAGE,
        "env": [{"name": "SERVICE_PORT", "value": PORT.to_string()}, {"name": "ADMIN_PORT", "value": "9091"}],
        "ports": [{"name": "http", "containerPort": PORT}, {"name": "admin", "containerPort": 9091}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1}});
    let template = json!({
        "metadata": {"labels": labels, "annotations": {"linkerd.io/inject": "enabled"}},
        "spec": {"containers": [container]},
    });
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}}),
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": PORT, "targetPort": PORT}]}}),
    ]
}
