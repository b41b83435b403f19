//! Targets that change under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use http::Method;
use meshy_dataplane::profile::Profile;
use tokio::time::sleep;

use crate::counters::{Sums, failing, retry_all};
use crate::support::{Client, Lab, Memory, WEB, endpoint, route, serve_http};

const POD: &str = "10.244.1.1:9090";
const FAIL_ONCE: &[bool] = &[true, false];

#[tokio::test]
async fn under_load_profile_changes_neither_lose_nor_duplicate_requests() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing(&[false]));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    let client = Arc::new(lab.client());
    let done = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (client, done) = (client.clone(), done.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                while !done.load(SeqCst) {
                    assert_eq!(client.get("/").await.status, 200);
                    sent += 1;
                    tokio::task::yield_now().await;
                }
                sent
            })
        })
        .collect();
    let total =
        |client: &Client| client.metric("request_total", &[]) + client.metric("route_request_total", &[]);
    let mut before = 0;
    for n in 0..100 {
        match n % 3 {
            0 => web.profile(retry_all()),
            1 => web
                .profile(Profile { routes: vec![route("other", Method::GET, "/.*", false)], ..retry_all() }),
            _ => web.change(&|target| target.profile = None),
        }
        sleep(Duration::from_millis(2)).await;
        let now = total(&client);
        assert!(now >= before, "{now} after {before}");
        before = now;
    }
    done.store(true, SeqCst);
    let mut sent = 0;
    for one in load {
        sent += one.await.unwrap();
    }
    assert!(sent > 100, "{sent}");
    assert_eq!(server.count(), sent);
    client.wait_for_metric("request_total", &[], sent as u64).await;
    client.wait_for_metric("response_total", &[], sent as u64).await;
    let by_profile = client.metric("route_request_total", &[]);
    let by_policy = client.metric("outbound_http_route_request_statuses_total", &[]);
    assert_eq!(
        by_profile + by_policy,
        sent as u64,
        "each request is counted by the profile or by the policy"
    );
    assert!(by_profile > 0 && by_policy > 0);
}

#[tokio::test]
async fn a_new_profile_is_followed_by_the_next_request() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing(FAIL_ONCE));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    assert_eq!(client.get("/").await.status, 500);
    server.add();
    web.profile(retry_all());
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(Sums::of(&client).retryable, 1);
}

#[tokio::test(start_paused = true)]
async fn with_linkerds_discovery_cache_a_new_profile_waits_for_five_idle_seconds() {
    let lab = Lab::default();
    serve_http(&lab.wire, POD.parse().unwrap(), failing(&[true, true, false]));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    let proxy = lab.proxy(&Memory::default(), |config| config.linkerd_discovery_cache = true);
    // A connection for each request, as in the measurement of Linkerd.
    let get = || async { Client::new(proxy.clone()).get("/").await.status };
    get().await;
    web.profile(retry_all());
    let followed = || Client::new(proxy.clone()).metric("route_request_total", &[]);
    for _ in 0..40 {
        sleep(Duration::from_millis(4_900)).await;
        get().await;
    }
    assert_eq!(followed(), 0, "as long as there is traffic");
    sleep(Duration::from_millis(5_100)).await;
    assert_eq!(get().await, 200);
    assert_eq!(followed(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_linkerds_discovery_cache_a_followed_profile_can_be_removed_and_restored_under_load() {
    let lab = Lab::default();
    serve_http(&lab.wire, POD.parse().unwrap(), failing(&[true, true, true, false]));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    web.profile(retry_all());
    let client = Client::new(lab.proxy(&Memory::default(), |config| config.linkerd_discovery_cache = true));
    assert_eq!(client.get("/").await.status, 200);
    web.change(&|target| target.profile = None);
    assert_eq!(client.get("/").await.status, 500);
    web.profile(retry_all());
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(
        client.metric("route_request_total", &[]),
        3,
        "it follows the profile routes, with and without a profile"
    );
}

#[tokio::test]
async fn a_new_profile_starts_with_a_full_budget_and_other_changes_keep_it() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing(&[true]));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    web.profile(retry_all());
    let client = lab.client();
    client.get("/").await;
    assert_eq!(server.count(), 101);
    web.change(&|target| target.policy = Arc::default());
    client.get("/").await;
    assert_eq!(server.count(), 102, "the same profile has the same exhausted budget");
    web.profile(retry_all());
    client.get("/").await;
    assert_eq!(server.count(), 203);
}
