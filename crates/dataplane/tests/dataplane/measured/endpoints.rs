//! Rows y and z: services without endpoints, and pods that do not respond.

use std::sync::Arc;
use std::time::Duration;

use meshy_dataplane::Proxy;
use meshy_dataplane::policy::Policy;
use tokio::io::AsyncReadExt;

use super::pods::{client, mesh, pod, serve};
use super::{BACKEND, BR, BS, ERRORS, POD, ROUTE, RR, RS, all_are, gets, load, moved};
use crate::counters::retry_all;
use crate::policy::retries;
use crate::support::{Client, Lab, Memory, WEB, scrape, serve_raw, sum};

const FIFTH: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn without_endpoints_requests_wait_once_and_are_then_rejected_at_once() {
    let lab = Lab::default();
    let web = lab.service("web", WEB, &[]);
    let client = client(&lab);
    let at_once = load(&client, Duration::from_millis(1), gets(150)).await;
    all_are(&at_once, 504, &format!("{BACKEND}service in fail-fast"), true);
    let waited = |range: std::ops::Range<u64>| {
        at_once.iter().all(|one| range.contains(&u64::try_from(one.took.as_millis()).unwrap()))
    };
    assert!(waited(2_850..3_010), "{at_once:?}");
    let after = load(&client, FIFTH, gets(40)).await;
    all_are(&after, 503, &format!("{ROUTE}service unavailable"), true);
    assert!(after.iter().all(|one| one.took < Duration::from_millis(10)), "{after:?}");
    moved(
        &client,
        &[
            (RS, &[("error", "FAIL_FAST")], 150),
            (BS, &[("error", "FAIL_FAST")], 150),
            (RS, &[("error", "LOAD_SHED")], 40),
            (BS, &[("error", "LOAD_SHED")], 0),
            (BR, &[], 150),
            (ERRORS, &[("error", "failfast")], 150),
            (ERRORS, &[("error", "loadshed")], 40),
        ],
    );
    serve(&lab, POD, |_| (0, 200));
    web.endpoints(&[pod(POD)]);
    all_are(&load(&client, FIFTH, gets(10)).await, 200, "", false);
    client.has_the_keys_of(&["z1", "z2", "z4"]);
}

#[tokio::test(start_paused = true)]
async fn without_endpoints_a_profile_counts_rejected_requests_as_attempts() {
    let lab = Lab::default();
    lab.service("web", WEB, &[]).profile(retry_all());
    let client = client(&lab);
    let logical = "logical service web.default.svc.cluster.local:9090: ";
    let at_once = load(&client, Duration::from_millis(1), gets(150)).await;
    all_are(&at_once, 504, &format!("{logical}Service.default.web:9090: service in fail-fast"), true);
    let after = load(&client, FIFTH, gets(40)).await;
    all_are(&after, 503, &format!("{logical}service unavailable"), true);
    let failed = [("classification", "failure"), ("error", "unclassified")];
    moved(
        &client,
        &[
            ("route_request_total", &[], 190),
            ("route_actual_request_total", &[], 190),
            ("route_response_total", &failed, 190),
            ("route_actual_response_total", &failed, 190),
            (ERRORS, &[("error", "failfast")], 150),
            (ERRORS, &[("error", "loadshed")], 40),
        ],
    );
    client.has_the_keys_of(&["y1", "y2"]);
}

/// Returns a client of a meshed pod whose application does not listen, or closes each connection after the request, and the
/// pod's proxy.
fn broken(listens: bool, policy: Policy) -> (Proxy, Arc<Client>) {
    let (lab, app) = (Lab::default(), Memory::default());
    if listens {
        serve_raw(&app, POD.parse().unwrap(), |mut io| async move {
            let _ = io.read(&mut [0; 4096]).await;
        });
    }
    let proxy = mesh(&lab, &app, POD);
    lab.service("web", WEB, &[pod(POD)]).policy(policy);
    (proxy, client(&lab))
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_behind_a_proxy_is_a_502_without_a_reason() {
    let (_proxy, client) = broken(false, Policy::default());
    all_are(&load(&client, FIFTH, gets(25)).await, 502, "", false);
    moved(&client, &[(BR, &[], 25), (RS, &[("http_status", "502"), ("error", "")], 25), (ERRORS, &[], 0)]);
    client.has_the_keys_of(&["z5"]);
    let (_proxy, client) = broken(false, retries("5xx", 2));
    all_are(&load(&client, FIFTH, gets(25)).await, 502, "", false);
    moved(&client, &[(BR, &[], 75), (RR, &[], 50)]);
    client.has_the_keys_of(&["z6"]);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_closes_without_a_response_is_a_500_without_a_reason() {
    let (proxy, client) = broken(true, Policy::default());
    all_are(&load(&client, FIFTH, gets(24)).await, 500, "", false);
    let ended = [("http_status", "500"), ("error", "")];
    let failed = [("status_code", "500"), ("classification", "failure")];
    moved(
        &client,
        &[
            (BR, &[], 24),
            (BS, &ended, 24),
            (RS, &ended, 24),
            ("response_total", &failed, 24),
            (ERRORS, &[], 0),
        ],
    );
    let at_server = |name: &str, labels: &[(&str, &str)]| sum(&scrape(&proxy), name, labels);
    assert_eq!(at_server("inbound_http_errors_total", &[("error", "unexpected")]), 24);
    assert_eq!(at_server("inbound_http_requests_total", &[]), 24);
    assert_eq!(at_server("inbound_http_statuses_total", &[("status", "")]), 24);
    client.has_the_keys_of(&["z8"]);
    let (_proxy, client) = broken(true, retries("5xx", 2));
    all_are(&load(&client, FIFTH, gets(30)).await, 500, "", false);
    moved(&client, &[(BR, &[], 90), (BS, &[("http_status", "500")], 90)]);
    client.has_the_keys_of(&["c15"]);
}
