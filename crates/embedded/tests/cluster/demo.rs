//! The original demo: a failing service, a profile, and the effect of retries.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::lab::{Lab, counter};

fn profile() -> Value {
    json!({
        "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
        "metadata": { "name": "bounced-service.default.svc.cluster.local", "namespace": "default" },
        "spec": {
            "routes": [{ "name": "GET /", "condition": { "method": "GET", "pathRegex": "/.*" }, "isRetryable": true }],
            "retryBudget": { "retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s" },
        },
    })
}

async fn both_services() -> Lab {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    lab.deploy("bounced-service").await;
    // Seven of ten responses fail, as in the original demo; by a sequence, so that no random run exhausts the budget.
    let sequence = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "service", "env": [{ "name": "SEQUENCE", "value": "500,500,200,500,500,500,200,500,500,200" }] },
    ] } } } });
    let deployments = lab.api("apps/v1/Deployment", "default");
    deployments
        .patch("bounced-service", &PatchParams::default(), &Patch::Strategic(&sequence))
        .await
        .expect("a patch");
    lab.rolled_out("default", "minimal-service").await;
    lab.rolled_out("default", "bounced-service").await;
    lab.wait_until_served("minimal-service").await;
    lab.wait_until_served("bounced-service").await;
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_raises_success_from_30_to_100_percent_and_the_counters_agree() {
    let lab = both_services().await;
    let mut succeeded = 0;
    for _ in 0..60 {
        succeeded += u32::from(lab.bounce().await == "200 OK");
    }
    assert_eq!(succeeded, 18, "of 60 without a profile");

    lab.apply(profile()).await;
    let client =
        lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    lab.wait_for_route("GET /", &client, "bounced-service.default").await;
    let before = lab.metrics("default", &client).await;
    let mut responses = Vec::new();
    for _ in 0..20 {
        responses.push(lab.bounce().await);
    }
    let metrics = lab.metrics("default", &client).await;
    // About 47 retries: the minimum of the budget, 10 per second for 10 s, permits each of them.
    assert_eq!(responses, vec!["200 OK"; 20], "{metrics}");

    let route = [r#"direction="outbound""#, r#"rt_route="GET /""#];
    let increase = |name: &str| counter(&metrics, name, &route) - counter(&before, name, &route);
    let (requests, attempts) = (increase("route_request_total"), increase("route_actual_request_total"));
    assert_eq!(requests, 20.0, "{metrics}");
    let no_budget = [route[0], route[1], "no_budget"];
    assert_eq!(counter(&metrics, "route_retryable_total", &no_budget), 0.0, "{metrics}");
    assert_eq!(attempts - requests, increase("route_retryable_total"), "{metrics}");
    lab.cluster.stop().await.expect("a clean stop");
}
