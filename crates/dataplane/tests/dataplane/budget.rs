//! The retry budget: its decisions are those of tower's, and the success rates are those of Linkerd.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use meshy_dataplane::{Budget, Decision};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, advance};
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::counters::{Sums, retry_all};
use crate::support::{Client, Lab, Memory, Responder, WEB, endpoint, serve_http};

const POD: &str = "10.244.1.1:9090";
const SEED: u64 = 20_260_821;

/// Fails 70 % of the requests at random.
fn failing_seventy_percent(seed: u64) -> Responder {
    let random = Mutex::new(StdRng::seed_from_u64(seed));
    Arc::new(move |_, _| {
        let status = if random.lock().unwrap().random_bool(0.7) { 500 } else { 200 };
        Response::builder().status(status).body(Bytes::new()).unwrap()
    })
}

/// Sends requests at a rate and returns the success rate in percent. The intervals have a jitter of microseconds: with equal
/// intervals, which real traffic does not have, the bucket's slots expire differently.
async fn success_rate(client: &Client, rate: u32, seconds: u32, jitter: &mut StdRng) -> f64 {
    let mut successes = 0;
    for _ in 0..rate * seconds {
        advance(Duration::from_secs(1) / rate + Duration::from_micros(jitter.random_range(1..500))).await;
        successes += usize::from(client.get("/").await.status == 200);
    }
    100.0 * successes as f64 / f64::from(rate * seconds)
}

#[tokio::test(start_paused = true)]
async fn logged_decisions_replayed_into_the_crate_are_the_same() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing_seventy_percent(SEED));
    lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
    let log: Arc<Mutex<Vec<(Instant, Decision)>>> = Arc::default();
    let sender = log.clone();
    let client = Client::new(lab.proxy(&Memory::default(), |config| {
        config.budget_log =
            Some(Arc::new(move |decision| sender.lock().unwrap().push((Instant::now(), decision))));
    }));
    let created = Instant::now();
    client.get("/").await;
    let mut jitter = StdRng::seed_from_u64(SEED);
    for rate in [5, 40, 10] {
        success_rate(&client, rate, 20, &mut jitter).await;
    }
    Sums::of(&client).assert_agree(&client, 1 + 55 * 20, server.count());

    let log = log.lock().unwrap().clone();
    let refused = log.iter().filter(|(_, decision)| *decision == Decision::Withdraw(false)).count();
    assert!(log.len() > 1_500 && refused > 100, "{} decisions, {refused} refused", log.len());
    let replay = Instant::now();
    let bucket = TpsBudget::new(Duration::from_secs(10), 10, 0.2);
    for (n, (when, decision)) in log.into_iter().enumerate() {
        advance((when - created).saturating_sub(replay.elapsed())).await;
        match decision {
            Decision::Deposit => bucket.deposit(),
            Decision::Withdraw(granted) => assert_eq!(bucket.withdraw(), granted, "decision {n}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn at_seventy_percent_failures_the_success_rates_match_linkerds() {
    for (rate, low, high) in [(5, 94.0, 100.0), (10, 69.0, 94.0), (20, 50.0, 67.0), (40, 40.0, 50.0)] {
        let lab = Lab::default();
        serve_http(&lab.wire, POD.parse().unwrap(), failing_seventy_percent(SEED + u64::from(rate)));
        lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
        let client = lab.client();
        let mut jitter = StdRng::seed_from_u64(SEED);
        let success = success_rate(&client, rate, 30, &mut jitter).await;
        assert!((low..=high).contains(&success), "{success:.1} % at {rate}/s, seed {SEED}");
    }
}

#[test]
fn values_that_linkerd_ignores_result_in_no_budget() {
    use meshy_dataplane::profile::RetryBudget;
    let with = |retry_ratio: f32, ttl: f64| {
        let ttl = Duration::from_secs_f64(ttl);
        Budget::new(RetryBudget { retry_ratio, ttl, min_retries_per_second: 10 }, None).is_some()
    };
    assert!(with(0.0, 1.0) && with(1000.0, 60.0) && with(0.2, 10.0));
    assert!(!with(0.2, 0.999) && !with(0.2, 60.001), "a ttl outside of 1 to 60 s");
    assert!(
        !with(-0.1, 10.0) && !with(1000.1, 10.0) && !with(f32::NAN, 10.0),
        "a ratio outside of 0 to 1000"
    );
    let reserve = RetryBudget { min_retries_per_second: u32::MAX, ..RetryBudget::default() };
    assert!(Budget::new(reserve, None).is_none(), "more than the bucket can count");
}

#[test]
fn a_ratio_acts_as_one_over_a_whole_number() {
    use meshy_dataplane::profile::RetryBudget;
    let granted = |retry_ratio: f32, deposits: usize| {
        let values = RetryBudget { retry_ratio, min_retries_per_second: 0, ttl: Duration::from_secs(60) };
        let budget = Budget::new(values, None).unwrap();
        (0..deposits).for_each(|_| budget.deposit());
        (0..10 * deposits).take_while(|_| budget.withdraw()).count()
    };
    assert_eq!(granted(0.3, 90), 30, "0.3 acts as a third");
    assert_eq!(granted(0.7, 90), 90, "0.7 acts as 1");
    assert_eq!(granted(2.0, 90), 180);
    assert_eq!(granted(0.0, 90), 0, "ratio 0 leaves only the reserve, which is 0 here");
}
