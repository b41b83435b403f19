//! One measurement: the counters before, traffic, the counters after.

mod faults;
pub mod marks;

use meshy_kube::failure;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use meshy_base::{activity, error};
use meshy_load::{self, Plan, Summary, Targets};
use meshy_metrics::routes::{Dialect, RouteCounts, Service, client_view, server_view};
use meshy_metrics::{self, Callers, Outcomes, Pod, PodWindow, Sight, Window, scrape::POD_DEADLINE, sight};
use meshy_policy::services::{self, Fault, NotTestService, Seen};
use meshy_predict::edge::{EdgeLoad, EdgePrediction, Policy, predict_edge};

use faults::Faults;
use marks::{Mark, Marks};

/// A measured stretch of traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// The original demo's case, or the URL.
    pub case: String,
    /// When it began, in seconds since the run's begin.
    pub begun_seconds: f64,
    /// What the user saw.
    pub traffic: Summary,
    /// Changes of policy while it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// The service asked, if the cluster was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<Mesh>,
    /// What all proxies counted meanwhile; not part of the record.
    #[serde(skip)]
    pub window: Option<Window>,
}

/// What the mesh counted meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Mesh {
    /// The service that fails.
    pub service: Service,
    /// The policy in force.
    pub policy: Policy,
    /// How it failed, as its admin port said; none for a foreign application.
    pub fail_ratio: Option<f64>,
    /// All routes of it together, as its clients count them.
    pub clients: RouteCounts,
    /// As its own proxies count: attempts.
    pub servers: RouteCounts,
    /// Where the requests went.
    pub outcomes: Outcomes,
    /// What was to be expected of so many requests.
    pub prediction: Option<EdgePrediction>,
    /// Why nothing was predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpredicted: Option<String>,
    /// Pods whose counts are missing, and why.
    pub gaps: Vec<String>,
}

/// The mesh at one moment, as far as one service is concerned. Two of them make a [`Mesh`].
#[derive(Clone)]
pub struct Snapshot {
    client: kube::Client,
    service: Service,
    servers: Vec<Pod>,
    sight: Sight,
    /// None for an application that is not the test service.
    seen: Result<Option<Seen>, String>,
    policy: Policy,
    fault: Result<Fault, String>,
}

/// Reads all proxies, and the service's own counts where it has some.
///
/// # Errors
/// The service is not there, or the API fails.
pub async fn snapshot(client: &kube::Client, service: &Service) -> anyhow::Result<Snapshot> {
    let servers = services::pods(client, &service.namespace, &service.name).await?;
    let policy = meshy_policy::policy::of(client, service).await?;
    read(client, service, (servers, policy)).await
}

/// Scrapes the proxies of all pods but the control plane's: any of them can send its first request to the service next.
async fn read(
    client: &kube::Client,
    service: &Service,
    (servers, policy): (Vec<Pod>, Policy),
) -> anyhow::Result<Snapshot> {
    let seen = known(services::seen(client, &servers).await);
    let fault = services::fault(client, &servers).await.map_err(|error| failure::plain(&error));
    let mut pods = meshy_metrics::pods::list(client, None).await?;
    pods.retain(|pod| !pod.is_control_plane());
    let sight = sight(client, pods, POD_DEADLINE).await;
    Ok(Snapshot { client: client.clone(), service: service.clone(), servers, sight, seen, policy, fault })
}

impl Snapshot {
    /// Whether any pod has a proxy.
    pub fn meshed(&self) -> bool {
        !self.sight.pods.is_empty()
    }

    /// Returns the service.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Returns all pods that were scraped.
    pub fn pods(&self) -> Vec<Pod> {
        self.sight.pods.iter().map(|sighted| sighted.pod.clone()).collect()
    }

    /// Returns the same service and policy now.
    ///
    /// # Errors
    /// The API fails.
    pub async fn again(&self) -> anyhow::Result<Self> {
        let known = (self.servers.clone(), self.policy);
        read(&self.client, &self.service, known).await
    }

    /// The workloads whose proxies count requests to the service, by this snapshot.
    fn callers(&self) -> Callers {
        let Service { namespace, name } = &self.service;
        Callers::of(&self.sight, &[namespace.as_str()], |of, called| of == namespace && called == name)
    }

    /// Returns what would have been read before the proxies and the service started: everything is counted from zero.
    pub fn at_start(&self) -> Self {
        let sight = Sight { at: self.sight.at, pods: Vec::new() };
        let seen = self.seen.clone().map(|seen| seen.map(|seen| seen.nothing()));
        Self { sight, seen, ..self.clone() }
    }

    /// Returns the difference to a later snapshot, and the window that it was counted in; `sent` is the rate and the time of the load,
    /// to predict it. A fault that changed meanwhile cannot be the base of a prediction.
    pub fn until(&self, now: &Self, sent: Option<(f64, f64)>) -> (Mesh, Window) {
        // By the later snapshot: a client's first request may have been sent meanwhile.
        let callers = now.callers();
        let (mut before, mut after) = (self.sight.clone(), now.sight.clone());
        before.retain(|pod| callers.concern(pod));
        after.retain(|pod| callers.concern(pod));
        let mut window = Window::between(&before, &after);
        let served = match (&self.seen, &now.seen) {
            (Ok(Some(before)), Ok(Some(after))) => after.since(before),
            (Err(why), _) | (Ok(Some(_)), Err(why)) => {
                window.gaps.push(format!("what service `{}` counted itself: {why}", self.service.name));
                None
            }
            _ => None,
        };
        let own = |pod: &&PodWindow| self.servers.iter().any(|server| server.name == pod.pod.name);
        let own: Vec<_> = window.pods.iter().filter(own).map(|pod| &pod.change).collect();
        let routes = client_view(window.pods.iter().map(|pod| &pod.change), &self.service);
        let (fail_ratio, unpredicted) = match (&self.fault, &now.fault) {
            (Ok(before), Ok(after)) if before != after => (
                None,
                Some(format!(
                    "the fault changed meanwhile, from `{}` to `{}`",
                    before.words(),
                    after.words()
                )),
            ),
            (Ok(fault), _) => (Some(fault.ratio()), None),
            (Err(why), _) => (None, Some(why.clone())),
        };
        let prediction = sent.zip(fail_ratio).map(|((rate, seconds), fail_ratio)| {
            let clients = window.pods.iter().filter(|pod| talks(pod, &self.service)).count().max(1) as u32;
            let (requests_per_second, over_seconds, policy) = (rate, seconds, self.policy);
            predict_edge(EdgeLoad { fail_ratio, requests_per_second, over_seconds, clients, policy }, 1)
        });
        let outcomes = Outcomes::of(&routes, served.as_ref());
        let timed_out = not_predictable(&outcomes);
        let mesh = Mesh {
            policy: self.policy,
            fail_ratio,
            clients: total(routes.values()),
            servers: total(server_view(own).values()),
            outcomes,
            prediction: prediction.filter(|_| timed_out.is_none()),
            unpredicted: unpredicted.or(timed_out),
            gaps: window.gaps.clone(),
            service: self.service.clone(),
        };
        (mesh, window)
    }
}

/// Why the outcomes cannot be compared with a prediction of one edge, which has neither timeouts nor latencies.
fn not_predictable(outcomes: &Outcomes) -> Option<String> {
    let count = Some(outcomes.timed_out_count).filter(|count| *count > 0)?;
    Some(format!("{count} requests timed out, and the prediction has no timeouts"))
}

/// None where the application is not the test service, which alone has such counts; else why they are not known.
fn known(seen: anyhow::Result<Seen>) -> Result<Option<Seen>, String> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error::cause::<NotTestService>(&error).is_some() => Ok(None),
        Err(error) => Err(failure::plain(&error)),
    }
}

fn talks(pod: &PodWindow, service: &Service) -> bool {
    !client_view([&pod.change], service).is_empty()
}

fn total<'a>(routes: impl Iterator<Item = &'a RouteCounts>) -> RouteCounts {
    let mut total = RouteCounts::default();
    for route in routes {
        total.add(route);
        if route.dialect == Dialect::Policy {
            total.dialect = Dialect::Policy;
        }
    }
    total
}

/// Shows a load while it runs.
pub trait View {
    /// Marks that something changed now.
    fn mark(&self, what: &str);

    /// Shows a second.
    fn tick(&self, tick: &meshy_load::Tick);
}

/// Sends traffic from this machine and reads the mesh before and after it; `view` shows it meanwhile. Where nothing can be
/// seen of the mesh, the traffic's own numbers stand alone.
///
/// # Errors
/// The service is not there, or the API fails.
pub async fn step(
    name: &str,
    case: &str,
    mesh: Option<(&kube::Client, &Service)>,
    (targets, plan): (impl Into<Targets>, Plan),
    stop: watch::Receiver<bool>,
    view: &impl View,
) -> anyhow::Result<Step> {
    let targets = targets.into();
    let servers: Vec<String> = targets.list().iter().map(|target| target.server.to_string()).collect();
    let send = async |each_second: &mut dyn FnMut(&meshy_load::Tick)| {
        let what = format!("sending load to {}", servers.join(", "));
        let _sending = activity::begin(activity::Kind::Work, what);
        meshy_load::run(targets, plan, stop, each_second).await
    };
    step_by((name, case), mesh, plan.rate, view, send).await
}

/// As [`step`], for a load of `rate` that `send` sends; it calls what it gets once a second.
///
/// # Errors
/// Those of [`step`], and those of `send`.
pub async fn step_by(
    (name, case): (&str, &str),
    mesh: Option<(&kube::Client, &Service)>,
    rate: f64,
    view: &impl View,
    send: impl AsyncFnOnce(&mut dyn FnMut(&meshy_load::Tick)) -> anyhow::Result<Summary>,
) -> anyhow::Result<Step> {
    let mut watched = None;
    let mut before = None;
    if let Some((client, service)) = mesh {
        let marks = Marks::of(client, service).await?;
        let first = snapshot(client, service).await?;
        let faults = first.fault.as_ref().ok().map(|fault| Faults::of(client, &first.servers, fault));
        watched = Some((marks, faults));
        before = Some(first);
    }
    let (begun, mut marks) = (Instant::now(), Vec::new());
    let mut see = |watched: &mut Option<(Marks, Option<Faults>)>| {
        let Some((policies, faults)) = watched else { return };
        let faults = faults.as_mut().map(|faults| faults.take(begun)).unwrap_or_default();
        let new: Vec<Mark> = policies.take(begun).into_iter().chain(faults).collect();
        new.iter().for_each(|mark| view.mark(&mark.text));
        marks.extend(new);
    };
    let mut each_second = |tick: &meshy_load::Tick| {
        view.tick(tick);
        see(&mut watched);
    };
    let mut traffic = send(&mut each_second).await?;
    see(&mut watched);
    let mut counted = None;
    if let Some(before) = before {
        if before.servers.len() > 1 {
            traffic.forget_attempts();
        }
        // Where the server or this machine cannot follow, fewer requests are under way than were planned.
        let fell_behind = (1e-9..0.99 * rate).contains(&traffic.requests_per_second);
        let rate = if fell_behind { traffic.requests_per_second } else { rate };
        let (mut mesh, window) = before.until(&before.again().await?, Some((rate, traffic.length_seconds)));
        mesh.outcomes.added_latency_ms = added_latency(&traffic);
        // A prediction is for one policy and one fault.
        mesh.prediction = mesh.prediction.filter(|_| marks.is_empty());
        without_others(&mut mesh, case, &traffic);
        mesh.gaps.extend(watched.iter().flat_map(|(policies, _)| policies.broken()));
        counted = Some((mesh, window));
    }
    let (mesh, window) = counted.unzip();
    Ok(Step {
        name: name.to_owned(),
        case: case.to_owned(),
        begun_seconds: 0.0,
        traffic,
        marks,
        mesh,
        window,
    })
}

/// Notes requests of other senders, for which nothing was predicted. It is known for the cases in which each request that is sent
/// is one request to the service.
fn without_others(mesh: &mut Mesh, case: &str, traffic: &Summary) {
    let sent = traffic.sent_count();
    let others = mesh.clients.requests_count.saturating_sub(sent);
    if !["service", "ingress"].contains(&case) || others == 0 {
        return;
    }
    let word = if others == 1 { "request" } else { "requests" };
    mesh.prediction = None;
    mesh.unpredicted = Some(format!(
        "{others} {word} of other senders are included: the proxies counted {}, this load sent {sent}",
        mesh.clients.requests_count
    ));
}

/// The median of requests with more than one attempt, by their counts, beyond the median of first attempts.
fn added_latency(traffic: &Summary) -> Option<f64> {
    let first = *traffic.attempts_p50_ms.get(&1)?;
    let retried: Vec<(u64, f64)> = traffic
        .attempts_p50_ms
        .range(2..)
        .map(|(attempts, p50)| (traffic.attempts_count.get(attempts).copied().unwrap_or(0), *p50))
        .collect();
    let count: u64 = retried.iter().map(|(count, _)| count).sum();
    let weighted: f64 = retried.iter().map(|(count, p50)| *count as f64 * p50).sum();
    (count > 0).then(|| weighted / count as f64 - first)
}

#[cfg(test)]
mod tests {
    use kube::api::{Api, Patch, PatchParams, PostParams};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_measurement_without_a_prediction_keeps_the_reason() {
        // No node: the pod is said to run, and nothing can reach its ports.
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        let client = kube::Client::new(server.service(), "default");
        let services: Api<k8s_openapi::api::core::v1::Service> = Api::default_namespaced(client.clone());
        let service = json!({"metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
        services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::default_namespaced(client.clone());
        let pod = json!({"metadata": {"name": "web-1", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let runs = Patch::Merge(json!({"status": {"phase": "Running"}}));
        pods.patch_status("web-1", &PatchParams::default(), &runs).await.unwrap();

        let service = Service { namespace: "default".to_owned(), name: "web".to_owned() };
        let before = snapshot(&client, &service).await.unwrap();
        let (mesh, _) = before.until(&before.again().await.unwrap(), Some((4.0, 1.0)));
        assert_eq!((mesh.fail_ratio, mesh.prediction), (None, None));
        let why = mesh.unpredicted.expect("a reason");
        assert!(why.contains("cannot reach the admin port of pod `web-1`"), "{why}");
        assert!(
            mesh.gaps.iter().any(|gap| gap.starts_with("what service `web` counted itself: ")),
            "{:?}",
            mesh.gaps
        );
    }

    #[test]
    fn outcomes_with_timeouts_are_not_compared_with_a_prediction_without_them() {
        let timed_out = Outcomes { timed_out_count: 3, ..Outcomes::default() };
        assert!(not_predictable(&timed_out).unwrap().starts_with("3 requests timed out"));
        assert_eq!(not_predictable(&Outcomes::default()), None);
    }

    #[test]
    fn only_an_application_of_others_has_no_counts_without_a_reason() {
        let not_ours = NotTestService { pod: "web-1".to_owned(), why: "status 404".to_owned() };
        assert_eq!(known(Err(not_ours.into())), Ok(None));
        assert_eq!(known(Err(anyhow::anyhow!("forbidden"))), Err("forbidden".to_owned()));
    }
}
