//! `meshy routes`: requests and attempts of each route, as clients count them and as the service's own proxies do.

use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;

use super::window::{self, Reader, Source, WindowArgs};
use crate::context::Context;
use crate::original_demo;
use crate::ui::table::{Table, UNKNOWN, millis, percent, rate};
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;
use meshy_metrics::pods::Pod;
use meshy_metrics::routes::{Dialect, RouteCounts, Service, client_view, server_view};
use meshy_metrics::{self, PodWindow, Window};
use meshy_policy::policy::About;
use meshy_policy::services;

/// What to show.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy routes deploy\n  meshy routes svc/bounced-service --from deploy/minimal-service"
)]
pub struct Args {
    /// The service: NAME, svc/NAME or deploy/NAME; `deploy` or `svc` alone means all of the namespace
    #[arg(default_value = original_demo::CALLED, value_name = "TARGET")]
    target: String,
    /// Only this client: deploy/NAME or pod/NAME
    #[arg(long, value_name = "SOURCE")]
    from: Option<String>,
    #[command(flatten)]
    requests: WindowArgs,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        self.requests.planned()
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Row {
    service: String,
    route: String,
    view: &'static str,
    effective_success_ratio: Option<f64>,
    effective_requests_per_second: Option<f64>,
    actual_success_ratio: Option<f64>,
    actual_requests_per_second: Option<f64>,
    #[serde(flatten)]
    counts: RouteCounts,
}

/// Shows both views, with `--watch` again each second.
///
/// # Errors
/// The service or the source is unknown, the Prometheus is not usable, or the API fails.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let client = context.client().await?;
    let kinds = Kinds::new(client.clone());
    let mut reader = Reader::new(&args.requests.time, &args.requests.history);
    loop {
        let services = targets(&client, &args.target, &args.requests.namespace).await?;
        let mut pods = meshy_metrics::pods::list(&client, None).await?;
        pods.retain(|pod| !pod.is_control_plane());
        let from = args.from.as_deref();
        let counted = |window: &Window| {
            rows(window, &services, from)
                .iter()
                .any(|row| row.counts.requests_count + row.counts.attempts_count > 0)
        };
        let (window, source) = reader.next(context, &client, &pods, counted).await?;
        if let Some(from) = from
            && !window.pods.iter().any(|pod| sends(pod, Some(from)))
        {
            return Err(anyhow!("`{from}` is not a meshed client"))
                .hint(format!("`meshy inject {from}` meshes it; `meshy stat -A` shows the meshed workloads"))
                .id("client-unmeshed");
        }
        window.gaps.iter().for_each(|gap| context.report.warn(format!("not counted: {gap}")));
        let mut abouts = Vec::new();
        for (service, _) in &services {
            abouts.push(About::read(&kinds, service, None).await?);
        }
        show(context, &abouts, rows(&window, &services, from), source, args.requests.time.watch)?;
        if !window::goes_on(context, args.requests.time.watch) {
            return Ok(Exit::Done);
        }
    }
}

/// Prints the tables.
fn show(
    context: &Context,
    abouts: &[About],
    rows: Vec<Row>,
    source: Source,
    again: bool,
) -> anyhow::Result<()> {
    window::clear(context, again);
    let empty = rows.iter().all(|row| row.counts.requests_count + row.counts.attempts_count == 0);
    context.data(&window::Table { source, rows }, |document| {
        let texts = abouts.iter().map(|about| {
            let own = document.rows.iter().filter(|row| row.service == about.wanted.name);
            words(&own.collect::<Vec<_>>(), about)
        });
        let texts: Vec<String> = std::iter::once(document.source.words(empty)).chain(texts).collect();
        texts.join("\n\n")
    })
}

/// Whether a pod is the one that `--from` names; without it every pod is.
fn sends(pod: &PodWindow, from: Option<&str>) -> bool {
    match from.map(|from| from.rsplit_once('/').unwrap_or(("", from))) {
        None => true,
        Some(("po" | "pod", name)) => pod.pod.name == name,
        Some((_, name)) => pod.pod.workload.name == name,
    }
}

/// The rows of these services, clients first.
fn rows(window: &Window, services: &[(Service, Vec<Pod>)], from: Option<&str>) -> Vec<Row> {
    // With a window of zero there is no time to divide by; rates are then unknown.
    let seconds = window.length.as_secs_f64();
    let per_second = |count: u64| (seconds > 0.0).then(|| count as f64 / seconds);
    let mut rows: Vec<Row> = Vec::new();
    for (service, servers) in services {
        let row = |view, route: String, counts: RouteCounts| Row {
            service: service.name.clone(),
            route,
            view,
            effective_success_ratio: counts.effective_success(),
            effective_requests_per_second: per_second(counts.requests_count)
                .filter(|_| counts.requests_count > 0),
            actual_success_ratio: counts.actual_success(),
            actual_requests_per_second: per_second(counts.attempts_count),
            counts,
        };
        let senders = window.pods.iter().filter(|pod| sends(pod, from));
        let clients = client_view(senders.map(|pod| &pod.change), service);
        let own = window.pods.iter().filter(|pod| servers.iter().any(|server| server.name == pod.pod.name));
        let own = server_view(own.map(|pod| &pod.change));
        rows.extend(clients.into_iter().map(|((_, route), counts)| row("client", route, counts)));
        rows.extend(own.into_iter().map(|(route, counts)| row("server", route, counts)));
    }
    rows
}

/// The services that a target names, each with the pods behind it. A kind alone names all of the namespace; those of
/// which no pod runs are left out, as there is nothing to count.
async fn targets(
    client: &kube::Client,
    target: &str,
    namespace: &str,
) -> anyhow::Result<Vec<(Service, Vec<Pod>)>> {
    const KINDS: [&str; 6] = ["deploy", "deployment", "deployments", "svc", "service", "services"];
    let service = |name: &str| Service { namespace: namespace.to_owned(), name: name.to_owned() };
    if !KINDS.contains(&target) {
        let name = target.rsplit('/').next().unwrap_or_default();
        return Ok(vec![(service(name), services::pods(client, namespace, name).await?)]);
    }
    let all = services::with_pods(client, namespace).await?;
    let running = all.into_iter().filter(|(_, pods)| !pods.is_empty());
    let found: Vec<_> = running.map(|(name, pods)| (service(&name), pods)).collect();
    if found.is_empty() {
        return Err(anyhow!("no service in namespace `{namespace}` has a running pod"))
            .hint("`meshy status` shows what is missing; `-n` names another namespace");
    }
    Ok(found)
}

/// What the newer policy of a service consists of.
fn newer(about: &About) -> &'static str {
    let is_policy = |key: &String| {
        ["retry.linkerd.io/", "timeout.linkerd.io/"].iter().any(|group| key.starts_with(group))
    };
    match (about.routes.is_empty(), about.annotations.keys().any(is_policy)) {
        (false, _) => "HTTPRoute",
        (true, true) => "annotations",
        (true, false) => "no retry policy",
    }
}

fn words(rows: &[&Row], about: &About) -> String {
    let mut clients = Table::new(
        1,
        &["ROUTE", "EFFECTIVE_SUCCESS", "EFFECTIVE_RPS", "ACTUAL_SUCCESS", "ACTUAL_RPS", "P50", "P95", "P99"],
    );
    let mut policy = Table::new(
        1,
        &["ROUTE", "EFFECTIVE_SUCCESS", "EFFECTIVE_RPS", "ACTUAL_SUCCESS", "ACTUAL_RPS", "MEAN", "<50ms"],
    );
    let mut servers =
        Table::new(1, &["ROUTE", "SUCCESS", "RPS", "LATENCY_P50", "LATENCY_P95", "LATENCY_P99"]);
    for row in rows {
        let latency = &row.counts.latency;
        let percentiles = [millis(latency.p50_ms), millis(latency.p95_ms), millis(latency.p99_ms)];
        let effective = [
            row.route.clone(),
            percent(row.effective_success_ratio),
            rate(row.effective_requests_per_second),
            percent(row.actual_success_ratio),
            rate(row.actual_requests_per_second),
        ];
        match (row.view, row.counts.dialect) {
            ("client", Dialect::Profile) => clients.row(effective.into_iter().chain(percentiles)),
            ("client", Dialect::Policy) => policy.row(
                effective
                    .into_iter()
                    .chain([millis(row.counts.latency_mean_ms), percent(row.counts.below_50ms_ratio)]),
            ),
            _ => {
                let own = [row.route.clone(), percent(row.actual_success_ratio)];
                let rps = [rate(row.actual_requests_per_second)];
                servers.row(own.into_iter().chain(rps).chain(percentiles));
            }
        }
    }
    let name = &about.wanted.name;
    // As in Linkerd's table, each route of the profile has a row.
    let profile = about.profile.as_ref().filter(|profile| profile.replaces_policy());
    for route in profile.iter().flat_map(|profile| &profile.spec.routes) {
        if !rows.iter().any(|row| row.view == "client" && row.route == route.name) {
            clients.row([route.name.as_str()].into_iter().chain([UNKNOWN; 7]));
        }
    }
    let with_profile = !clients.is_empty();
    if clients.is_empty() && policy.is_empty() {
        clients.row(["[DEFAULT]"].into_iter().chain([UNKNOWN; 7]));
    }
    if servers.is_empty() {
        servers.row(["[DEFAULT]"].into_iter().chain([UNKNOWN; 5]));
    }
    let mut text = String::new();
    for (title, table) in [
        (
            format!("==> clients of {name}{} <==", if with_profile { " (ServiceProfile)" } else { "" }),
            clients,
        ),
        (format!("==> clients of {name} ({}) <==", newer(about)), policy),
        (format!("==> {name} itself: attempts, retries among them <=="), servers),
    ] {
        if !table.is_empty() {
            text.push_str(&format!("{title}\n{}\n\n", table.render()));
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use meshy_linkerd::profile::ServiceProfile;
    use serde_json::json;

    use super::*;

    fn about(profile: bool, annotations: &[(&str, &str)]) -> About {
        let profile = profile.then(|| {
            let route =
                json!({"name": "GET /cart", "condition": {"pathRegex": "/cart"}, "isRetryable": true});
            let object =
                json!({"metadata": {"name": "cart.shop.svc.cluster.local"}, "spec": {"routes": [route]}});
            ServiceProfile::read_leniently(&object).unwrap()
        });
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let wanted = Service { namespace: "shop".to_owned(), name: "cart".to_owned() };
        let mut about = About::of(wanted, annotations.collect());
        about.profile = profile;
        about
    }

    #[test]
    fn the_headings_name_the_policy_that_is_there_and_each_route_of_a_profile_has_a_row() {
        let text = words(&[], &about(false, &[]));
        assert!(text.contains("==> clients of cart <==") && !text.contains("ServiceProfile"), "{text}");
        let text = words(&[], &about(true, &[]));
        assert!(
            text.contains("==> clients of cart (ServiceProfile) <==") && text.contains("GET /cart"),
            "{text}"
        );
        let counts = RouteCounts { dialect: Dialect::Policy, requests_count: 4, ..RouteCounts::default() };
        let row = Row {
            service: "cart".to_owned(),
            route: "[DEFAULT]".to_owned(),
            view: "client",
            effective_success_ratio: None,
            effective_requests_per_second: None,
            actual_success_ratio: None,
            actual_requests_per_second: None,
            counts,
        };
        for (annotations, heading) in [
            (&[][..], "==> clients of cart (no retry policy) <=="),
            (&[("retry.linkerd.io/http", "5xx")][..], "==> clients of cart (annotations) <=="),
        ] {
            let text = words(&[&row], &about(false, annotations));
            assert!(text.contains(heading), "{text}");
        }
    }
}
