//! Section b: circuit breaking.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use meshy_dataplane::policy::{FailureAccrual, Policy, Retry, SuccessRate};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::pods::{client, pod, serve};
use super::{
    BACKEND, BR, BS, ERRORS, POD, RLIM, ROUTE, RR, RS, Received, all_are, count, gets, load, moved,
    own_headers,
};
use crate::support::{Client, Lab, Server, WEB};

const FIFTH: Duration = Duration::from_millis(200);
const TENTH: Duration = Duration::from_millis(100);
const PODS: [&str; 3] = [POD, "10.244.1.2:9090", "10.244.1.3:9090"];

/// Returns a policy with a breaker whose penalties are those of the measured run on average: jitter adds a quarter.
fn breaker(max_failures: u32, penalty: u64) -> Policy {
    let failure_accrual = Some(FailureAccrual {
        max_failures,
        min_penalty: Duration::from_millis(penalty),
        jitter_ratio: 0.0,
        ..FailureAccrual::default()
    });
    Policy { failure_accrual, ..Policy::default() }
}

fn web(policy: Policy, statuses: &[&'static [u16]]) -> (Arc<Client>, Vec<Server>) {
    let lab = Lab::default();
    let servers = PODS.iter().zip(statuses).map(|(pod, statuses)| {
        let statuses = *statuses;
        serve(&lab, pod, move |n| (2, statuses[n % statuses.len()]))
    });
    let servers: Vec<_> = servers.collect();
    let endpoints: Vec<_> = PODS[..statuses.len()].iter().map(|addr| pod(addr)).collect();
    lab.service("web", WEB, &endpoints).policy(policy);
    (client(&lab), servers)
}

/// Asserts that each response is a 500 of the application, a fail-fast or a rejection.
#[track_caller]
fn outcomes(received: &[Received]) -> [usize; 3] {
    for one in received.iter().filter(|one| one.status != 500) {
        let reason = match one.status {
            504 => format!("{BACKEND}service in fail-fast"),
            _ => format!("{ROUTE}service unavailable"),
        };
        assert_eq!((&one.reason, one.closes), (&reason, true), "{one:?}");
        assert_eq!(one.headers, own_headers(&reason, true), "{one:?}");
    }
    [500, 504, 503].map(|status| count(received, status))
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_lets_requests_wait_once_and_then_rejects_them_until_a_probe() {
    let (client, servers) = web(breaker(7, 1_040), &[&[500]]);
    let received = load(&client, FIFTH, gets(150)).await;
    let [own, fail_fast, shed] = outcomes(&received);
    assert_eq!((own, servers[0].count()), (11, 11), "seven requests and four probes");
    assert_eq!(own + fail_fast + shed, 150);
    // 60 and 79 were measured with penalties of 1.04, 2.1, 5.1 and 8.0 s.
    assert!((50..=70).contains(&fail_fast) && shed >= 60, "{fail_fast} {shed}");
    let at = |one: &Received| one.sent.as_millis() + one.took.as_millis();
    let answered: Vec<_> = received.iter().filter(|one| one.status == 500).map(at).collect();
    assert!(
        answered[6] <= 1_250 && answered[7] >= 2_200,
        "the first probe is after the penalty: {answered:?}"
    );
    let longest = received.iter().map(|one| one.took).max().unwrap();
    assert!(longest > Duration::from_secs(4), "each probe starts the wait of the others again: {longest:?}");
    moved(
        &client,
        &[
            (BR, &[], (own + fail_fast) as u64),
            (BS, &[("error", "FAIL_FAST")], fail_fast as u64),
            (RS, &[("error", "FAIL_FAST")], fail_fast as u64),
            (RS, &[("error", "LOAD_SHED")], shed as u64),
            (ERRORS, &[("error", "failfast")], fail_fast as u64),
            (ERRORS, &[("error", "loadshed")], shed as u64),
            ("response_total", &[], 11),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_healthy_pod_closes_the_breaker_at_the_next_probe() {
    let lab = Lab::default();
    let server = serve(&lab, POD, |n| (2, if n < 7 { 500 } else { 200 }));
    lab.service("web", WEB, &[pod(POD)]).policy(breaker(7, 1_000));
    let client = client(&lab);
    load(&client, TENTH, gets(7)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    all_are(&load(&client, FIFTH, gets(60)).await, 200, "", false);
    assert_eq!(server.count(), 67);
    client.has_the_keys_of(&["b03"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_breaker_a_failing_pod_keeps_its_share() {
    let (client, servers) = web(Policy::default(), &[&[500], &[200], &[200]]);
    let received = load(&client, TENTH, gets(300)).await;
    assert_eq!(count(&received, 500), servers[0].count());
    assert!(servers[0].count() > 30, "{}", servers[0].count());
    moved(&client, &[(BR, &[], 300)]);
}

#[tokio::test(start_paused = true)]
async fn of_three_pods_the_failing_one_gets_its_failures_and_then_probes_only() {
    let (client, servers) = web(breaker(3, 1_040), &[&[500], &[200], &[200]]);
    let received = load(&client, TENTH, gets(300)).await;
    let failed = count(&received, 500);
    assert_eq!((failed, count(&received, 200)), (servers[0].count(), 300 - failed));
    // Three failures, then probes after 1, 2, 4, 8 and 16 s, as far as they fit into the 30 s.
    assert!((6..=8).contains(&failed), "{failed}");
    moved(&client, &[(RS, &[("error", "FAIL_FAST")], 0), (RS, &[("error", "LOAD_SHED")], 0)]);
}

#[tokio::test(start_paused = true)]
async fn three_failing_pods_get_their_failures_and_their_probes() {
    let (client, servers) = web(breaker(3, 1_200), &[&[500], &[500], &[500]]);
    let received = load(&client, TENTH, gets(200)).await;
    let [own, fail_fast, shed] = outcomes(&received);
    assert!((20..=22).contains(&own), "{own}");
    for server in &servers {
        assert!((6..=8).contains(&server.count()), "{}", server.count());
    }
    assert!(fail_fast >= 80 && shed >= 40 && own + fail_fast + shed == 200, "{fail_fast} {shed}");
    moved(&client, &[(BR, &[], (own + fail_fast) as u64), (RS, &[("error", "LOAD_SHED")], shed as u64)]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_fail_fast_meets_load_shedding() {
    let policy = Policy { retry: Some(Retry::parse("5xx", Some(2), None).unwrap()), ..breaker(3, 1_200) };
    let (client, servers) = web(policy, &[&[500]]);
    let received = load(&client, FIFTH, gets(60)).await;
    assert_eq!(outcomes(&received), [1, 0, 59]);
    let longest = received.iter().map(|one| one.took).max().unwrap();
    assert!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&longest), "{longest:?}");
    let (attempts, own) = (client.metric(BR, &[]), servers[0].count() as u64);
    let fail_fast = client.metric(BS, &[("error", "FAIL_FAST")]);
    assert_eq!(attempts, own + fail_fast);
    moved(&client, &[(RR, &[], attempts - 1), (RLIM, &[], 1), (RS, &[("error", "LOAD_SHED")], 59)]);
    client.has_the_keys_of(&["w3"]);
}

#[tokio::test(start_paused = true)]
async fn a_404_resets_the_count_of_failures_and_closes_the_breaker() {
    let (client, _) = web(breaker(7, 1_000), &[&[500, 500, 500, 500, 500, 500, 404, 500]]);
    let received = load(&client, FIFTH, gets(80)).await;
    assert_eq!((count(&received, 404), count(&received, 500)), (10, 70));
    client.has_the_keys_of(&["w4"]);
}

#[tokio::test(start_paused = true)]
async fn of_three_pods_one_that_fails_half_stays_with_consecutive_and_is_taken_out_again_and_again_by_unified()
 {
    let share = async |accrual: FailureAccrual| {
        let policy = Policy { failure_accrual: Some(accrual), ..Policy::default() };
        let (client, servers) = web(policy, &[&[500, 200], &[200], &[200]]);
        let received = load(&client, FIFTH / 4, gets(600)).await;
        assert_eq!(count(&received, 504) + count(&received, 503), 0, "two pods stay available");
        (count(&received, 500), servers[0].count())
    };
    let (failed, consecutive) = share(FailureAccrual::default()).await;
    assert_eq!(failed, consecutive.div_ceil(2), "every second response of that pod");
    assert!(consecutive > 140, "{consecutive}: failures in a row never reach seven");
    let success_rate = Some(SuccessRate::default());
    let (failed, unified) = share(FailureAccrual { success_rate, ..FailureAccrual::default() }).await;
    // Five responses open the breaker. A second later a probe succeeds half of the time and closes it until five more.
    assert!((40..=140).contains(&unified) && failed < 80, "{unified} of {consecutive}, {failed} failed");
}

/// Returns a client of three pods of which each response fails with a probability of 40 %, in the order of a seed.
fn forty_percent(policy: Policy, seed: u64) -> (Arc<Client>, Vec<Server>) {
    let lab = Lab::default();
    let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    let server = |pod: &&str| {
        let random = random.clone();
        serve(&lab, pod, move |_| (2, if random.lock().unwrap().random_bool(0.4) { 500 } else { 200 }))
    };
    let servers = PODS.iter().map(server).collect();
    lab.service("web", WEB, &PODS.map(pod)).policy(policy);
    (client(&lab), servers)
}

#[tokio::test(start_paused = true)]
async fn a_unified_breaker_opens_and_closes_while_pods_fail_in_part() {
    let success_rate = Some(SuccessRate::default());
    let failure_accrual = Some(FailureAccrual { success_rate, ..FailureAccrual::default() });
    let (mut succeeded, mut reached) = (0, 0);
    for seed in 1..=3 {
        let policy = Policy { failure_accrual, ..Policy::default() };
        let (client, servers) = forty_percent(policy, seed);
        let received = load(&client, TENTH, gets(250)).await;
        let own = servers.iter().map(Server::count).sum::<usize>();
        let [failed, fail_fast, shed] = [500, 504, 503].map(|status| count(&received, status));
        assert_eq!((own, count(&received, 200) + failed), (250 - fail_fast - shed, own));
        // Requests wait while all breakers are open, up to the time after which they would fail.
        let longest = received.iter().map(|one| one.took).max().unwrap();
        assert!(longest > Duration::from_millis(500), "{longest:?}");
        (succeeded, reached) = (succeeded + own - failed, reached + own);
    }
    // 145 of 250 were measured; a breaker does not change the rate of pods that fail alike.
    let expected = 0.6 * reached as f64;
    let deviation = (0.24 * reached as f64).sqrt();
    assert!((succeeded as f64 - expected).abs() <= 3.0 * deviation, "{succeeded} of {reached}");
    assert!(reached > 500, "{reached}");
    // Seven failures in a row are rare at 40 %, so the breaker of consecutive failures stays closed.
    let consecutive = Policy { failure_accrual: Some(FailureAccrual::default()), ..Policy::default() };
    let (client, _) = forty_percent(consecutive, 1);
    let received = load(&client, TENTH, gets(250)).await;
    assert_eq!(count(&received, 200) + count(&received, 500), 250);
}
