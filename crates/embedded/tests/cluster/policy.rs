//! Profiles, annotations and routes on a running cluster: which one takes effect, and changes under load.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::lab::{Lab, counter};

const PROFILE: &str = "linkerd.io/v1alpha2/ServiceProfile";

/// Returns a profile with one route for each GET.
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
        lab.wait_until_served(overlay).await;
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
async fn a_profile_replaces_annotations_and_routes_while_it_exists() {
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
    lab.wait_until_received_by("minimal-service").await;

    lab.apply(profile("bounced-service.default", "default", "GET /")).await;
    lab.wait_until_received_by("bounced-service").await;
    let route_statuses = "outbound_http_route_request_statuses_total";
    let parent = [r#"parent_name="bounced-service""#];
    let before = counter(&lab.metrics("default", &client).await, route_statuses, &parent);
    for _ in 0..20 {
        assert_eq!(lab.receiving_app().await, "bounced-service");
    }
    let metrics = lab.metrics("default", &client).await;
    assert_eq!(counter(&metrics, route_statuses, &parent), before, "the route is not used");
    assert!(counter(&metrics, "route_request_total", &[r#"rt_route="GET /""#]) >= 20.0, "{metrics}");

    delete_profile(&lab).await;
    lab.wait_until_received_by("minimal-service").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_in_the_namespace_of_the_client_takes_precedence() {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    lab.apply(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "far" } })).await;
    let (labels, metadata) = (json!({ "app": "web" }), json!({ "name": "web", "namespace": "far" }));
    lab.apply(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "service", "image": "minimal-service" }] },
        } },
    }))
    .await;
    lab.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": { "selector": labels, "ports": [{ "port": 9090 }] },
    }))
    .await;
    lab.rolled_out("far", "web").await;
    lab.rolled_out("default", "minimal-service").await;
    lab.wait_until_served("minimal-service").await;
    let client = pod(&lab, "minimal-service").await;
    let wait_for = async |route: &str| lab.wait_for_route(route, &client, "web.far").await;
    lab.apply(profile("web.far", "far", "of the service")).await;
    wait_for("of the service").await;
    lab.apply(profile("web.far", "default", "of the client")).await;
    wait_for("of the client").await;
    lab.delete(PROFILE, "web.far.svc.cluster.local", &DeleteParams::default()).await;
    wait_for("of the service").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_profile_leaves_the_previous_one_in_effect() {
    let lab = both_services().await;
    let client = pod(&lab, "minimal-service").await;
    lab.apply(profile("bounced-service.default", "default", "valid")).await;
    let count = async |route: &str| lab.route_requests(route, &client).await;
    lab.wait_for_route("valid", &client, "bounced-service.default").await;
    let mut invalid = profile("bounced-service.default", "default", "invalid");
    // Linkerd's controller rejects a status of 999; the schema does not.
    invalid["spec"]["routes"][0]["responseClasses"] =
        json!([{ "condition": { "status": { "min": 999, "max": 999 } }, "isFailure": true }]);
    lab.apply(invalid).await;
    let before = count("valid").await;
    for _ in 0..20 {
        lab.bounce().await;
    }
    assert_eq!((count("valid").await - before, count("invalid").await), (20.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_pod_address_use_no_profile() {
    let lab = both_services().await;
    let client = pod(&lab, "minimal-service").await;
    lab.apply(profile("bounced-service.default", "default", "GET /")).await;
    let routed_requests = async || {
        counter(&lab.metrics("default", &client).await, "route_request_total", &[r#"direction="outbound""#])
    };
    lab.wait_for_route("GET /", &client, "bounced-service.default").await;
    let before = routed_requests().await;
    let pod = lab.pods("bounced-service").await.remove(0);
    let address = pod["status"]["podIP"].as_str().expect("an address");
    let body = json!({ "rebound": "true", "endpoint": format!("http://{address}:9090") }).to_string();
    for _ in 0..5 {
        assert_eq!(lab.send("POST", "minimal-service", "/bounce", &[], &body).await.status, 200);
    }
    assert_eq!(routed_requests().await, before);
    let metrics = lab.metrics("default", &client).await;
    let target = format!(r#"target_ip="{address}""#);
    let direct = [r#"direction="outbound""#, target.as_str(), r#"tls="true""#];
    assert!(counter(&metrics, "request_total", &direct) >= 5.0, "the requests are meshed: {metrics}");
}

/// Returns the value of each counter series of a metrics text.
fn counters(metrics: &str) -> HashMap<String, f64> {
    let is_counter =
        |line: &&str| line.contains("_total{") || line.contains("_count{") || line.contains("_bucket{");
    let parse = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().ok()?))
    };
    metrics.lines().filter(is_counter).filter_map(parse).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_changes_under_load_lose_and_duplicate_no_request() {
    const CLIENTS: usize = 4;
    let lab = Arc::new(both_services().await);
    let (client, server) = (pod(&lab, "minimal-service").await, pod(&lab, "bounced-service").await);
    // The requests of `both_services` were sent by the ingress, not through the proxy of the client.
    let start = lab.metrics("default", &server).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (lab, done) = (lab.clone(), done.clone());
        senders.spawn(async move {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                lab.bounce().await;
                sent += 1;
            }
            sent
        });
    }
    let mut last = HashMap::new();
    let mut requests_at_change = 0.0;
    for change in 0..30 {
        if change % 2 == 0 {
            lab.apply(profile("bounced-service.default", "default", "GET /")).await;
        } else {
            delete_profile(&lab).await;
        }
        // Some requests are sent in each state.
        let mut now = lab.metrics("default", &client).await;
        while counter(&now, "request_total", &[r#"direction="outbound""#]) < requests_at_change + 5.0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            now = lab.metrics("default", &client).await;
        }
        requests_at_change = counter(&now, "request_total", &[r#"direction="outbound""#]);
        let now = counters(&now);
        for (series, before) in &last {
            let after = now.get(series).copied().unwrap_or(-1.0);
            assert!(after >= *before, "{series} went from {before} to {after}");
        }
        last = now;
    }
    done.store(true, Ordering::Relaxed);
    let mut sent = 0.0;
    while let Some(one) = senders.join_next().await {
        sent += f64::from(one.expect("each request has a response"));
    }
    let (at_client, at_server) =
        (lab.metrics("default", &client).await, lab.metrics("default", &server).await);
    let out = [r#"direction="outbound""#];
    let to = [r#"parent_name="bounced-service""#];
    let by_profile = counter(&at_client, "route_request_total", &out);
    let by_policy = counter(&at_client, "outbound_http_route_request_statuses_total", &to);
    assert!(by_profile > 0.0 && by_policy > 0.0, "both were used: {by_profile} and {by_policy}");
    assert_eq!(by_profile + by_policy, sent, "each request is counted once");
    let attempts = counter(&at_client, "route_actual_request_total", &out)
        + counter(&at_client, "outbound_http_route_backend_requests_total", &to);
    let received = |text: &str| {
        let meshed = [r#"direction="inbound""#, r#"tls="true""#];
        counter(text, "request_total", &meshed)
    };
    assert_eq!(attempts, received(&at_server) - received(&start), "each attempt is counted once");
    let retryable = counter(&at_client, "route_retryable_total", &out);
    let no_budget = counter(&at_client, "route_retryable_total", &[out[0], r#"skipped="no_budget""#]);
    assert_eq!(attempts - sent, retryable - 2.0 * no_budget, "retries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_a_status_that_follows_its_parents_and_backends() {
    let lab = Lab::start().await;
    let service = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "default" },
            "spec": { "selector": { "app": name }, "ports": [{ "port": 9090 }] },
        })
    };
    let kinds = [
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("policy.linkerd.io/v1beta3", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1", "GRPCRoute"),
    ];
    lab.apply(service("web")).await;
    for (version, kind) in kinds {
        lab.apply(json!({
            "apiVersion": version, "kind": kind, "metadata": { "name": "split", "namespace": "default" },
            "spec": {
                "parentRefs": [{ "group": "core", "kind": "Service", "name": "web", "port": 9090 }],
                "rules": [{ "backendRefs": [{ "name": "web-v2", "port": 9090 }] }],
            },
        }))
        .await;
    }
    let has = |accepted: &'static str, resolved: &'static str| {
        move |found: Option<&Value>| {
            let condition = |n: usize, field: &str| {
                found.and_then(|found| found.pointer(&format!("/status/parents/0/conditions/{n}/{field}")))
            };
            condition(0, "reason") == Some(&json!(accepted))
                && condition(1, "reason") == Some(&json!(resolved))
        }
    };
    let all_have = async |accepted, resolved| {
        for (version, kind) in kinds {
            lab.wait(&format!("{version}/{kind}"), "default", "split", has(accepted, resolved)).await;
        }
    };
    all_have("Accepted", "BackendNotFound").await;
    lab.apply(service("web-v2")).await;
    all_have("Accepted", "ResolvedRefs").await;
    lab.delete("v1/Service", "web", &DeleteParams::default()).await;
    all_have("NoMatchingParent", "ResolvedRefs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_calls_itself_through_its_service() {
    let lab = both_services().await;
    for _ in 0..30 {
        let response = lab.bounce_to("minimal-service.default").await;
        assert!(response.starts_with("200"), "{response}");
    }
}
