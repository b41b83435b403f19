//! The load of a step from pods of the cluster.

use meshy_experiment::scenario::{Load, StatusFrom};
use meshy_load::protocol::Part as SenderPart;
use meshy_load::{Report, TargetSpec};
use meshy_policy::policy::Stopped;
use meshy_senders::{Fleet, Identity, Placement, Planned, Sent};
use tokio::sync::watch;
use tokio::time::Instant;

use super::ground::Served;
use super::seconds::millis;
use super::sender::{self, TIMEOUT};
use crate::tally::{Part, Tally};

/// Where senders run and what they are.
pub(super) struct Pods<'a> {
    /// The cluster.
    pub(super) client: &'a kube::Client,
    /// Their namespace.
    pub(super) namespace: &'a str,
    /// The test service's image.
    pub(super) image: String,
    /// When they must be ready.
    pub(super) deadline: Instant,
    /// A part of their names, different for each step of a run.
    pub(super) run: String,
}

/// Returns a part of the names of pods from a run and a step.
pub(super) fn run_of(run: &str, step: &str) -> String {
    let text = format!("{run}-{step}").to_lowercase();
    let kept = text.chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '-' });
    kept.take(40).collect::<String>().trim_matches('-').to_owned()
}

/// Returns the number of pods that send a load; none if it is sent from this machine.
pub(super) fn count(load: &Load) -> Option<u32> {
    load.senders.as_ref().map(|senders| senders.value)
}

/// Starts the senders of a load.
///
/// # Errors
/// Returns the errors of [`Fleet::start`], or [`Stopped`] if the run is to end.
pub(super) async fn start(
    pods: &Pods<'_>,
    load: &Load,
    stop: &watch::Receiver<bool>,
) -> anyhow::Result<Fleet> {
    let placement = Placement {
        namespace: pods.namespace.to_owned(),
        count: count(load).unwrap_or(1),
        image: pods.image.clone(),
        identity: Identity::meshed(load.meshed.unwrap_or(true)),
        length: load.duration.0,
    };
    let fleet = Fleet::start(pods.client, &placement, &pods.run, pods.deadline, stop.clone()).await?;
    fleet.ok_or_else(|| Stopped.into())
}

/// Returns the request of a load; a target without a scheme is a service of the namespace.
///
/// # Errors
/// Returns an error if what the load describes is not a valid request.
pub(super) fn target(load: &Load, namespace: &str, served: &Served) -> anyhow::Result<TargetSpec> {
    let name = load.target.value.as_str();
    let base = if name.contains("://") {
        name.to_owned()
    } else {
        let scheme = if served.grpc { "grpc" } else { "http" };
        format!("{scheme}://{name}.{namespace}.svc.cluster.local:{}/", served.port)
    };
    let default = (!base.starts_with("grpc://")).then_some("GET");
    let spec = TargetSpec {
        url: match &load.path {
            Some(path) => format!("{}{path}", base.trim_end_matches('/')),
            None => base,
        },
        method: load.method.as_deref().or(default).map(str::to_owned),
        headers: load.headers.clone(),
        body: load.body.clone(),
        status_from_body: Some(load.status_from == Some(StatusFrom::Body)),
        ..TargetSpec::default()
    };
    spec.target()?;
    Ok(spec)
}

/// Gives the senders the parts of a load; they start at the agreed instant.
///
/// # Errors
/// Returns an error if a sender cannot be controlled.
pub(super) async fn plan(
    fleet: &Fleet,
    load: &Load,
    target: TargetSpec,
    parts: &[Part],
) -> anyhow::Result<Planned> {
    let part = |part: &Part| SenderPart {
        after_ms: millis(part.start),
        duration_ms: millis(part.length),
        rate: part.rate,
    };
    let rate = parts.iter().map(|part| part.rate).fold(0.0, f64::max);
    let fleet_load = meshy_senders::Load {
        targets: vec![target],
        parts: parts.iter().map(part).collect(),
        connections: u16::try_from(sender::connections(load, rate)).unwrap_or(u16::MAX).min(10_000),
        timeout: TIMEOUT,
    };
    fleet.plan(&fleet_load).await
}

/// Follows the senders until the load has ended; the tally follows the reports, and `reported` changes with each of them.
pub(super) async fn follow(
    planned: Planned,
    load: &Load,
    (tally, reported): (&Tally, &watch::Sender<()>),
    stop: watch::Receiver<bool>,
) -> Sent {
    let deadline = sender::deadline(load);
    let each = |_: &meshy_load::Tick, report: &Report| {
        tally.follow(report, deadline);
        reported.send_replace(());
    };
    let sent = planned.follow(stop, each).await;
    tally.follow(&sent.report, deadline);
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Load {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn the_names_of_pods_are_dns_labels() {
        assert_eq!(run_of("20260102-030405-678", "No retries!"), "20260102-030405-678-no-retries");
        assert!(run_of("20260102-030405-678", &"x".repeat(90)).len() <= 40);
    }

    #[test]
    fn a_service_is_called_by_its_name_in_the_cluster_and_a_url_as_it_is() {
        let service =
            load("{ target: app, rate: 5/s, duration: 1s, senders: 2, path: /x, headers: { a: b } }");
        let http = Served { name: "app".to_owned(), port: 8080, grpc: false };
        let spec = target(&service, "canary", &http).unwrap();
        assert_eq!(spec.url, "http://app.canary.svc.cluster.local:8080/x");
        assert_eq!(spec.headers["a"], "b");
        let url = load("{ target: 'http://198.51.100.7:19090/', rate: 5/s, duration: 1s, senders: 1 }");
        assert_eq!(target(&url, "egress", &http).unwrap().url, "http://198.51.100.7:19090/");
        let call = load("{ target: 'grpc://cart.shop/shop.Cart/Add', rate: 5/s, duration: 1s, senders: 1 }");
        assert_eq!(target(&call, "shop", &http).unwrap().url, "grpc://cart.shop/shop.Cart/Add");
        let grpc = Served { grpc: true, ..http };
        let call =
            target(&load("{ target: app, rate: 5/s, duration: 1s, senders: 1 }"), "shop", &grpc).unwrap();
        assert_eq!((&*call.url, &call.method), ("grpc://app.shop.svc.cluster.local:8080/", &None));
        assert_eq!(
            (count(&service), count(&load("{ target: a, rate: 1/s, duration: 1s }"))),
            (Some(2), None)
        );
    }
}
