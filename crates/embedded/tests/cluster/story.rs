//! The seed's story: a failing service, a profile, and what retries make of it.

use std::time::Duration;

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
    lab.rolled_out("default", "minimal-service").await;
    lab.rolled_out("default", "bounced-service").await;
    lab.serves("minimal-service").await;
    lab.serves("bounced-service").await;
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_turns_three_in_ten_into_ten_in_ten_and_the_counters_agree() {
    let lab = both_services().await;
    let mut before = 0;
    for _ in 0..60 {
        before += u32::from(lab.bounce().await == "200 OK");
    }
    // 30 % of 60 is 18; three standard deviations are 10.6.
    assert!((7..30).contains(&before), "{before} of 60 without a profile");

    lab.apply(profile()).await;
    let client =
        lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let route = [r#"direction="outbound""#, r#"rt_route="GET /""#];
    let mut good = 0;
    for _ in 0..20 {
        good += u32::from(lab.bounce().await == "200 OK");
        // At 4 requests a second the budget carries every retry.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(good, 20, "of 20 with the profile");

    let metrics = lab.metrics("default", &client).await;
    let requests = counter(&metrics, "route_request_total", &route);
    let tries = counter(&metrics, "route_actual_request_total", &route);
    let retryable = counter(&metrics, "route_retryable_total", &route);
    let without_budget = counter(&metrics, "route_retryable_total", &[route[0], route[1], "no_budget"]);
    assert_eq!(requests, 20.0, "{metrics}");
    assert_eq!(tries - requests, retryable - 2.0 * without_budget);
    lab.cluster.stop().await.expect("stopped");
}
