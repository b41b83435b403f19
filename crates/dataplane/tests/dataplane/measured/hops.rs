//! Section h: two hops, a client that calls a relay that calls a service; retries on each hop multiply.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use meshy_dataplane::policy::Policy;
use meshy_dataplane::profile::{Profile, RetryBudget};

use super::keys::has_the_keys_of;
use super::pods::{client, mesh, pod, serve};
use super::{BR, POD, RLIM, count, gets, load, moved};
use crate::counters::retry_all;
use crate::policy::retries;
use crate::support::{Client, Lab, Memory, Server, WEB, serve_raw};

const LAST: &str = "10.96.0.2:9090";
const LAST_POD: &str = "10.244.1.2:9090";

/// The settings of one hop.
enum Hop {
    None,
    Retries(u16),
    Profile,
}

/// What a load over two hops did.
struct Outcome {
    succeeded: usize,
    at_relay: usize,
    at_last: usize,
    client: Arc<Client>,
    relay: Arc<Client>,
}

/// Sends `n` requests to `web`, a relay that passes the status of `last` on.
async fn send(first: Hop, second: Hop, n: usize, status: fn(usize) -> u16) -> Outcome {
    let (lab, app) = (Lab::default(), Memory::default());
    let last = serve(&lab, LAST_POD, move |n| (1, status(n)));
    let relay = client(&lab);
    let at_relay = Server::default();
    let (calls, counted) = (relay.clone(), at_relay.clone());
    serve_raw(&app, POD.parse().unwrap(), move |io| {
        let (calls, counted) = (calls.clone(), counted.clone());
        let service = service_fn(move |_| {
            let (calls, counted) = (calls.clone(), counted.clone());
            async move {
                counted.add();
                let request = Request::get("/last").header("host", "last").body(Bytes::new()).unwrap();
                let status = calls.send_to(LAST, request).await.map_or(502, |reply| reply.status);
                Ok::<_, Infallible>(
                    Response::builder().status(status).body(Full::new(Bytes::from_static(b"body"))).unwrap(),
                )
            }
        });
        async move {
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
        }
    });
    mesh(&lab, &app, POD);
    let services = [
        (lab.service("web", WEB, &[pod(POD)]), first),
        (lab.service("last", LAST, &[pod(LAST_POD)]), second),
    ];
    for (service, hop) in &services {
        match hop {
            Hop::None => service.policy(Policy::default()),
            Hop::Retries(limit) => service.policy(retries("5xx", *limit)),
            Hop::Profile => {
                service.profile(Profile { retry_budget: Some(RetryBudget::default()), ..retry_all() });
            }
        }
    }
    let client = client(&lab);
    let received = load(&client, Duration::from_millis(500), gets(n)).await;
    let (succeeded, at_relay, at_last) = (count(&received, 200), at_relay.count(), last.count());
    Outcome { succeeded, at_relay, at_last, client, relay }
}

/// Fails seven of ten attempts, in an order that looks random.
fn seventy_percent(n: usize) -> u16 {
    let mixed = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
    if mixed % 10 < 7 { 500 } else { 200 }
}

#[track_caller]
fn is_binomial(found: usize, n: f64, p: f64) {
    let deviation = (n * p * (1.0 - p)).sqrt();
    assert!((found as f64 - n * p).abs() <= 3.0 * deviation + 0.5, "{found} of {n} at {p}");
}

#[tokio::test(start_paused = true)]
async fn retries_on_the_last_hop_or_on_both_have_their_success_rates() {
    let none = send(Hop::None, Hop::None, 100, seventy_percent).await;
    assert_eq!((none.at_relay, none.at_last), (100, 100));
    is_binomial(none.succeeded, 100.0, 0.3);
    let last = send(Hop::None, Hop::Retries(3), 100, seventy_percent).await;
    assert_eq!(last.at_relay, 100);
    is_binomial(last.succeeded, 100.0, 1.0 - 0.7_f64.powi(4));
    let both = send(Hop::Retries(3), Hop::Retries(3), 120, seventy_percent).await;
    assert!(both.succeeded >= 118, "{}", both.succeeded);
    // 1.31 attempts at the relay and 3.32 at the last hop for each request, by calculation.
    assert!((138..=180).contains(&both.at_relay), "{}", both.at_relay);
    assert!((330..=470).contains(&both.at_last), "{}", both.at_last);
}

#[tokio::test(start_paused = true)]
async fn retries_on_two_hops_multiply_to_sixteen_attempts() {
    let both = send(Hop::Retries(3), Hop::Retries(3), 20, |_| 500).await;
    assert_eq!((both.succeeded, both.at_relay, both.at_last), (0, 80, 320));
    moved(&both.client, &[(BR, &[], 80), (RLIM, &[], 20)]);
    moved(&both.relay, &[(BR, &[], 320), (RLIM, &[], 80)]);
    let pods = both.relay.pods.lock().unwrap();
    let [last, relay] = &pods[..] else { panic!("two pods") };
    let sides: [(&str, &[_]); 3] =
        [("client", &[&both.client.proxy]), ("relay", &[relay, &both.relay.proxy]), ("server", &[last])];
    has_the_keys_of(&["h04"], &sides);
}

#[tokio::test(start_paused = true)]
async fn budgets_on_two_hops_retry_on_the_last_one() {
    let both = send(Hop::Profile, Hop::Profile, 60, seventy_percent).await;
    assert_eq!((both.succeeded, both.at_relay), (60, 60), "the last hop's budget suffices");
    // Each request needs 1 / 0.3 attempts.
    assert!((140..=270).contains(&both.at_last), "{}", both.at_last);
}
