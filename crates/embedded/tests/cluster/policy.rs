//! Profiles, annotations and routes on a running cluster: which of them holds, and what a change costs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::lab::{Lab, counter};

const PROFILE: &str = "linkerd.io/v1alpha2/ServiceProfile";

/// A profile of one route for every GET.
fn profile(service: &str, namespace: &str, route: &str) -> Value {
    json!({
        "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
        "metadata": { "name": format!("{service}.svc.cluster.local"), "namespace": namespace },
        "spec": {
            "routes": [{ "name": route, "condition": { "method": "GET", "pathRegex": "/.*" }, "isRetryable": true }],
            "retryBudget": { "retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s" },
        },
    })
}

async fn both_services() -> Lab {
    let lab = Lab::start().await;
    for overlay in ["minimal-service", "bounced-service"] {
        lab.deploy(overlay).await;
        lab.rolled_out("default", overlay).await;
        lab.serves(overlay).await;
    }
    lab
}

async fn pod(lab: &Lab, app: &str) -> String {
    lab.pods(app).await[0]["metadata"]["name"].as_str().expect("a name").to_owned()
}

async fn delete_profile(lab: &Lab) {
    lab.delete(PROFILE, "bounced-service.default.svc.cluster.local", &DeleteParams::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_takes_the_place_of_annotations_and_routes_while_it_is_there() {
    let lab = both_services().await;
    let client = pod(&lab, "minimal-service").await;
    lab.apply(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "bounced-service", "namespace": "default", "annotations": {
            "retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "3",
        } },
        "spec": { "selector": { "app": "bounced-service" }, "ports": [{ "name": "http", "port": 9090, "targetPort": 9090 }] },
    }))
    .await;
    lab.apply(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "elsewhere", "namespace": "default" },
        "spec": {
            "parentRefs": [{ "group": "", "kind": "Service", "name": "bounced-service", "port": 9090 }],
            "rules": [{ "backendRefs": [{ "name": "minimal-service", "port": 9090 }] }],
        },
    }))
    .await;
    lab.until_answered_by("minimal-service").await;

    lab.apply(profile("bounced-service.default", "default", "GET /")).await;
    lab.until_answered_by("bounced-service").await;
    let newer = "outbound_http_route_request_statuses_total";
    let parent = [r#"parent_name="bounced-service""#];
    let before = counter(&lab.metrics("default", &client).await, newer, &parent);
    for _ in 0..20 {
        assert_eq!(lab.answering().await, "bounced-service");
    }
    let metrics = lab.metrics("default", &client).await;
    assert_eq!(counter(&metrics, newer, &parent), before, "the newer policy is off");
    assert!(counter(&metrics, "route_request_total", &[r#"rt_route="GET /""#]) >= 20.0, "{metrics}");

    delete_profile(&lab).await;
    lab.until_answered_by("minimal-service").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profile_of_the_clients_namespace_wins_over_the_services_own() {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    lab.apply(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "far" } })).await;
    let (labels, place) = (json!({ "app": "web" }), json!({ "name": "web", "namespace": "far" }));
    lab.apply(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": place,
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "service", "image": "minimal-service" }] },
        } },
    }))
    .await;
    lab.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": place,
        "spec": { "selector": labels, "ports": [{ "port": 9090 }] },
    }))
    .await;
    lab.rolled_out("far", "web").await;
    lab.rolled_out("default", "minimal-service").await;
    lab.serves("minimal-service").await;
    let client = pod(&lab, "minimal-service").await;
    let counted_as = async |route: &str| lab.until_counted_as(route, &client, "web.far").await;
    lab.apply(profile("web.far", "far", "the service's")).await;
    counted_as("the service's").await;
    lab.apply(profile("web.far", "default", "the client's")).await;
    counted_as("the client's").await;
    lab.delete(PROFILE, "web.far.svc.cluster.local", &DeleteParams::default()).await;
    counted_as("the service's").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_cannot_be_translated_leaves_the_one_before_it_in_force() {
    let lab = both_services().await;
    let client = pod(&lab, "minimal-service").await;
    lab.apply(profile("bounced-service.default", "default", "good")).await;
    let count = async |route: &str| lab.counted_as(route, &client).await;
    lab.until_counted_as("good", &client, "bounced-service.default").await;
    let mut bad = profile("bounced-service.default", "default", "bad");
    // A status of 999 is what Linkerd's controller refuses; the schema does not.
    bad["spec"]["routes"][0]["responseClasses"] =
        json!([{ "condition": { "status": { "min": 999, "max": 999 } }, "isFailure": true }]);
    lab.apply(bad).await;
    let before = count("good").await;
    for _ in 0..20 {
        lab.bounce().await;
    }
    assert_eq!((count("good").await - before, count("bad").await), (20.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_own_address_has_no_profile() {
    let lab = both_services().await;
    let client = pod(&lab, "minimal-service").await;
    lab.apply(profile("bounced-service.default", "default", "GET /")).await;
    let routed = async || {
        counter(&lab.metrics("default", &client).await, "route_request_total", &[r#"direction="outbound""#])
    };
    lab.until_counted_as("GET /", &client, "bounced-service.default").await;
    let before = routed().await;
    let target = lab.pods("bounced-service").await.remove(0);
    let address = target["status"]["podIP"].as_str().expect("an address");
    let body = json!({ "rebound": "true", "endpoint": format!("http://{address}:9090") }).to_string();
    for _ in 0..5 {
        assert_eq!(lab.ask("POST", "minimal-service", "/bounce", &[], &body).await.status, 200);
    }
    assert_eq!(routed().await, before);
    let metrics = lab.metrics("default", &client).await;
    let addressed = format!(r#"target_ip="{address}""#);
    let direct = [r#"direction="outbound""#, addressed.as_str(), r#"tls="true""#];
    assert!(counter(&metrics, "request_total", &direct) >= 5.0, "meshed all the same: {metrics}");
}

/// Every counter of a text: series with value.
fn counters(metrics: &str) -> HashMap<String, f64> {
    let named =
        |line: &&str| line.contains("_total{") || line.contains("_count{") || line.contains("_bucket{");
    let each = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().ok()?))
    };
    metrics.lines().filter(named).filter_map(each).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_that_come_and_go_under_traffic_lose_and_double_no_request() {
    const CLIENTS: usize = 4;
    let lab = Arc::new(both_services().await);
    let (client, server) = (pod(&lab, "minimal-service").await, pod(&lab, "bounced-service").await);
    // What `both_services` sent came past the client's proxy, from the ingress.
    let start = lab.metrics("default", &server).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut traffic = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (lab, over) = (lab.clone(), over.clone());
        traffic.spawn(async move {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                lab.bounce().await;
                sent += 1;
            }
            sent
        });
    }
    let mut seen = HashMap::new();
    let mut requests_at_change = 0.0;
    for change in 0..30 {
        if change % 2 == 0 {
            lab.apply(profile("bounced-service.default", "default", "GET /")).await;
        } else {
            delete_profile(&lab).await;
        }
        // A few requests meet each state.
        let mut now = lab.metrics("default", &client).await;
        while counter(&now, "request_total", &[r#"direction="outbound""#]) < requests_at_change + 5.0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            now = lab.metrics("default", &client).await;
        }
        requests_at_change = counter(&now, "request_total", &[r#"direction="outbound""#]);
        let now = counters(&now);
        for (series, before) in &seen {
            let after = now.get(series).copied().unwrap_or(-1.0);
            assert!(after >= *before, "{series} went from {before} to {after}");
        }
        seen = now;
    }
    over.store(true, Ordering::Relaxed);
    let mut sent = 0.0;
    while let Some(one) = traffic.join_next().await {
        sent += f64::from(one.expect("every request was answered"));
    }
    let (ours, theirs) = (lab.metrics("default", &client).await, lab.metrics("default", &server).await);
    let out = [r#"direction="outbound""#];
    let to = [r#"parent_name="bounced-service""#];
    let by_profile = counter(&ours, "route_request_total", &out);
    let by_policy = counter(&ours, "outbound_http_route_request_statuses_total", &to);
    assert!(by_profile > 0.0 && by_policy > 0.0, "both were at work: {by_profile} and {by_policy}");
    assert_eq!(by_profile + by_policy, sent, "each request once");
    let tries = counter(&ours, "route_actual_request_total", &out)
        + counter(&ours, "outbound_http_route_backend_requests_total", &to);
    let at_server = |text: &str| {
        let meshed = [r#"direction="inbound""#, r#"tls="true""#];
        counter(text, "request_total", &meshed)
    };
    assert_eq!(tries, at_server(&theirs) - at_server(&start), "each try once");
    let retryable = counter(&ours, "route_retryable_total", &out);
    let no_budget = counter(&ours, "route_retryable_total", &[out[0], r#"skipped="no_budget""#]);
    assert_eq!(tries - sent, retryable - 2.0 * no_budget, "retries");
}
