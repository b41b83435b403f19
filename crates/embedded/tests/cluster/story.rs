//! The seed's story: a failing service, a profile, and what retries make of it.

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
    // The seed's seven failures in ten by a script, so that no run of bad luck uses up the budget.
    let script = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "service", "env": [{ "name": "SEQUENCE", "value": "500,500,200,500,500,500,200,500,500,200" }] },
    ] } } } });
    let deployments = lab.api("apps/v1/Deployment", "default");
    deployments
        .patch("bounced-service", &PatchParams::default(), &Patch::Strategic(&script))
        .await
        .expect("patched");
    lab.rolled_out("default", "minimal-service").await;
    lab.rolled_out("default", "bounced-service").await;
    lab.serves("minimal-service").await;
    lab.serves("bounced-service").await;
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_turns_three_in_ten_into_ten_in_ten_and_the_counters_agree() {
    let lab = both_services().await;
    let mut good = 0;
    for _ in 0..60 {
        good += u32::from(lab.bounce().await == "200 OK");
    }
    assert_eq!(good, 18, "of 60 without a profile");

    lab.apply(profile()).await;
    let client =
        lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    lab.until_counted_as("GET /", &client, "bounced-service.default").await;
    let before = lab.metrics("default", &client).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(lab.bounce().await);
    }
    let metrics = lab.metrics("default", &client).await;
    // Some 47 retries: the budget's reserve, 10 a second for 10 s, carries each of them.
    assert_eq!(answers, vec!["200 OK"; 20], "{metrics}");

    let route = [r#"direction="outbound""#, r#"rt_route="GET /""#];
    let more = |name: &str| counter(&metrics, name, &route) - counter(&before, name, &route);
    let (requests, tries) = (more("route_request_total"), more("route_actual_request_total"));
    assert_eq!(requests, 20.0, "{metrics}");
    let without_budget = [route[0], route[1], "no_budget"];
    assert_eq!(counter(&metrics, "route_retryable_total", &without_budget), 0.0, "{metrics}");
    assert_eq!(tries - requests, more("route_retryable_total"), "{metrics}");
    lab.cluster.stop().await.expect("stopped");
}
