//! Inbound policies on a running cluster: who may call, how often, and that probes are not denied.

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::lab::{Lab, counter};

const IDENTITY: &str = "default.default.serviceaccount.identity.linkerd.cluster.local";

fn policy(kind: &str, version: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("policy.linkerd.io/{version}"), "kind": kind,
        "metadata": { "name": name, "namespace": "default" }, "spec": spec,
    })
}

fn server(access: &str) -> Value {
    let selector = json!({ "matchLabels": { "app": "minimal-service" } });
    let spec =
        json!({ "podSelector": selector, "port": 9090, "proxyProtocol": "HTTP/1", "accessPolicy": access });
    policy("Server", "v1beta3", "minimal-http", spec)
}

/// Starts both services; bounced-service is the meshed caller of minimal-service, the ingress the unmeshed one.
async fn lab() -> Lab {
    let lab = Lab::start().await;
    for overlay in ["minimal-service", "bounced-service"] {
        lab.deploy(overlay).await;
        lab.rolled_out("default", overlay).await;
        lab.wait_until_served(overlay).await;
    }
    lab
}

/// Sends requests of the ingress to minimal-service until one has a status: policies reach proxies by a watch.
async fn wait_for_status(lab: &Lab, status: u16) {
    let reached = async {
        while lab.get("minimal-service", "/").await.status != status {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), reached).await;
    waited.unwrap_or_else(|_| panic!("no request has the status {status}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_policy_admits_the_identities_that_it_names() {
    let lab = lab().await;
    lab.apply(server("deny")).await;
    wait_for_status(&lab, 403).await;
    assert_eq!(lab.get("minimal-service", "/health").await.status, 200, "the path of the probes");
    let authentication =
        json!({ "group": "policy.linkerd.io", "kind": "MeshTLSAuthentication", "name": "callers" });
    lab.apply(policy("MeshTLSAuthentication", "v1alpha1", "callers", json!({ "identities": [IDENTITY] })))
        .await;
    lab.apply(policy(
        "AuthorizationPolicy",
        "v1alpha1",
        "minimal-callers",
        json!({
            "targetRef": { "group": "policy.linkerd.io", "kind": "Server", "name": "minimal-http" },
            "requiredAuthenticationRefs": [authentication],
        }),
    ))
    .await;
    // The path is the probes', so the pod stays ready and the requests of the ingress are still denied.
    assert_eq!(lab.get("minimal-service", "/").await.status, 403);
    let pod = lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let metrics = lab.metrics("default", &pod).await;
    let denied = [r#"srv_name="minimal-http""#, r#"tls="no_identity""#];
    assert!(counter(&metrics, "inbound_http_authz_deny_total", &denied) >= 2.0, "{metrics}");
    lab.delete("policy.linkerd.io/v1beta3/Server", "minimal-http", &DeleteParams::default()).await;
    wait_for_status(&lab, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_rejects_requests_and_is_removed_with_its_policy() {
    let lab = lab().await;
    lab.apply(server("all-unauthenticated")).await;
    let target = json!({ "group": "policy.linkerd.io", "kind": "Server", "name": "minimal-http" });
    let limit = json!({ "targetRef": target, "total": { "requestsPerSecond": 1 } });
    lab.apply(policy("HTTPLocalRateLimitPolicy", "v1alpha1", "minimal-limit", limit)).await;
    wait_for_status(&lab, 429).await;
    let kind = "policy.linkerd.io/v1alpha1/HTTPLocalRateLimitPolicy";
    lab.delete(kind, "minimal-limit", &DeleteParams::default()).await;
    wait_for_status(&lab, 200).await;
    for _ in 0..20 {
        assert_eq!(lab.get("minimal-service", "/").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelled_policy_is_rejected_by_its_schema() {
    let lab = Lab::start().await;
    let object: kube::api::DynamicObject = serde_json::from_value(server("allow-all")).expect("an object");
    let api = lab.api("policy.linkerd.io/v1beta3/Server", "default");
    let error = api.create(&kube::api::PostParams::default(), &object).await.expect_err("an invalid Server");
    assert!(error.to_string().contains("accessPolicy"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_of_a_server_and_a_server_authorization_admit_callers() {
    let lab = lab().await;
    lab.apply(server("deny")).await;
    wait_for_status(&lab, 403).await;
    let all = json!({ "server": { "name": "minimal-http" }, "client": { "unauthenticated": true } });
    lab.apply(policy("ServerAuthorization", "v1beta1", "everyone", all)).await;
    wait_for_status(&lab, 200).await;
    let kind = "policy.linkerd.io/v1beta1/ServerAuthorization";
    lab.delete(kind, "everyone", &DeleteParams::default()).await;
    wait_for_status(&lab, 403).await;
    // A route for the probes and one that no policy names.
    for (name, path) in [("health", "/health"), ("closed", "/closed")] {
        let parent = json!({ "group": "policy.linkerd.io", "kind": "Server", "name": "minimal-http" });
        let spec = json!({
            "parentRefs": [parent],
            "rules": [{ "matches": [{ "path": { "type": "PathPrefix", "value": path } }] }],
        });
        lab.apply(policy("HTTPRoute", "v1beta3", name, spec)).await;
    }
    let target = json!({ "group": "policy.linkerd.io", "kind": "HTTPRoute", "name": "health" });
    let anyone = json!({ "targetRef": target, "requiredAuthenticationRefs": [] });
    lab.apply(policy("AuthorizationPolicy", "v1alpha1", "health", anyone)).await;
    wait_for_status(&lab, 404).await;
    wait_until(async || lab.get("minimal-service", "/health").await.status == 200).await;
    assert_eq!(lab.get("minimal-service", "/closed").await.status, 403, "no policy names this route");
    let pod = lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let metrics = lab.metrics("default", &pod).await;
    let route = [r#"route_group="policy.linkerd.io""#, r#"route_kind="HTTPRoute""#, r#"route_name="health""#];
    assert!(counter(&metrics, "inbound_http_authz_allow_total", &route) >= 1.0, "{metrics}");
    assert!(counter(&metrics, "inbound_http_route_not_found_total", &[r#"srv_name="minimal-http""#]) >= 1.0);
}

/// Waits until a condition holds: policies reach proxies by a watch.
async fn wait_until(holds: impl AsyncFn() -> bool) {
    let reached = async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), reached).await.expect("the condition holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_egress_network_denies_requests_to_the_outside() {
    let lab = lab().await;
    let outside = async |path: &str| {
        let endpoint = format!("http://198.51.100.7:19090{path}");
        let body = json!({ "rebound": "true", "endpoint": endpoint }).to_string();
        lab.send("POST", "minimal-service", "/bounce", &[], &body).await.body
    };
    let reached = async |path: &str| outside(path).await.contains("200");
    assert!(reached("/a").await, "{}", outside("/a").await);
    lab.apply(policy("EgressNetwork", "v1alpha1", "all-egress", json!({ "trafficPolicy": "Deny" }))).await;
    wait_until(async || outside("/a").await.contains("403")).await;
    let network = json!({ "group": "policy.linkerd.io", "kind": "EgressNetwork", "name": "all-egress" });
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "open", "namespace": "default" },
        "spec": { "parentRefs": [network], "rules": [{
            "matches": [{ "path": { "type": "PathPrefix", "value": "/open" } }], "backendRefs": [network],
        }] },
    });
    lab.apply(route).await;
    wait_until(async || reached("/open").await).await;
    assert!(outside("/a").await.contains("403"), "the network still denies the rest");
    let pod = lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let parent = r#"parent_kind="EgressNetwork""#;
    let denied = [parent, r#"route_name="http-egress-deny""#, r#"http_status="403""#];
    let allowed = [parent, r#"route_name="open""#, r#"http_status="200""#];
    // A request is counted when its response has ended, which may be after the client has read it.
    wait_until(async || {
        let metrics = lab.metrics("default", &pod).await;
        let counted = |labels| counter(&metrics, "outbound_http_route_request_statuses_total", labels) >= 1.0;
        [&denied, &allowed].into_iter().all(|labels| counted(labels))
    })
    .await;
}
