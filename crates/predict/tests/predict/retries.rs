//! Retries, timeouts and breakers as the data plane has them; the numbers of rules are those of `docs/dataplane-rules.md`.

use meshy_predict::model::{Breaker, EdgePolicy, Errors, RateLimit, Retry, RetryBudget, Step};
use meshy_predict::simulate;

use crate::support::{capacity, millis, pair, retries, seconds};

/// Rule 36, and rows a09 and a10 of the second set of measurements: 500 ms per response, 200 ms per attempt, limit 2.
#[test]
fn a_retry_timeout_does_not_bound_the_last_attempt() {
    let retry = Retry { retry_timeout: Some(millis(200)), ..Retry::limit(2) };
    let mut model = pair(retries(retry), 2.0, seconds(20.0));
    model.services[1].script = vec![Step::Sleep(millis(500))];
    let run = simulate(&model, 1).unwrap();
    assert_eq!((run.edges[0].total.attempts, run.success_ratio()), (120, 1.0));
    let least = run.latencies[0];
    assert!((0.975..1.05).contains(&least), "two timeouts, two backoffs, one response: {least}");

    model.edges[0].policy.timeout = Some(millis(500));
    let run = simulate(&model, 1).unwrap();
    assert_eq!(run.success_ratio(), 0.0);
    assert!(
        run.latencies.iter().all(|latency| (*latency - 0.5).abs() < 0.01),
        "the request timeout spans all"
    );
    let attempts = run.edges[0].total.attempts;
    assert!((80..=120).contains(&attempts), "the third only if its backoff ends in time: {attempts}");
}

/// Rule 39 and row a07: 80 ms per failed response, a request timeout of 300 ms, limit 5: 233 attempts for 80 requests.
#[test]
fn a_request_timeout_spans_all_attempts() {
    let policy = EdgePolicy { timeout: Some(millis(300)), ..retries(Retry::limit(5)) };
    let mut model = pair(policy, 4.0, seconds(20.0));
    model.services[1].capacity = Some(capacity(100, 0, millis(80)));
    model.services[1].errors = Errors::Share(1.0);
    let run = simulate(&model, 1).unwrap();
    let attempts = run.edges[0].total.attempts;
    assert!((215..=240).contains(&attempts), "{attempts}");
    assert!(run.latencies.iter().all(|latency| (*latency - 0.3).abs() < 0.01));
}

/// Rule 40 and row a08: the response timeout is not retried.
#[test]
fn a_response_timeout_is_not_retried() {
    let policy = EdgePolicy { response_timeout: Some(millis(200)), ..retries(Retry::limit(3)) };
    let mut model = pair(policy, 4.0, seconds(20.0));
    model.services[1].script = vec![Step::Sleep(millis(500))];
    let run = simulate(&model, 1).unwrap();
    assert_eq!((run.edges[0].total.attempts, run.success_ratio()), (80, 0.0));
}

/// Rule 28: with a minimum of 0 only requests without a retryable failure make retries possible.
#[test]
fn a_failure_at_an_exhausted_budget_deposits_nothing() {
    let budget = RetryBudget { min_per_second: 0, ..RetryBudget::default() };
    let mut model = pair(retries(Retry::budget(budget)), 30.0, seconds(20.0));
    model.services[1].errors = Errors::Share(1.0);
    let run = simulate(&model, 1).unwrap();
    assert_eq!(run.edges[0].total.attempts, run.offered());
    model.services[1].errors = Errors::Share(0.5);
    assert!(simulate(&model, 1).unwrap().edges[0].total.attempts > run.offered());
}

/// Rule 23: the proxy ignores a budget outside its bounds and retries nothing.
#[test]
fn an_invalid_budget_disables_retries() {
    let budget = RetryBudget { ttl: seconds(90.0), ..RetryBudget::default() };
    let mut model = pair(retries(Retry::budget(budget)), 10.0, seconds(10.0));
    model.services[1].errors = Errors::Share(1.0);
    let run = simulate(&model, 1).unwrap();
    assert_eq!(run.edges[0].total.attempts, 100);
}

#[test]
fn with_a_limit_and_a_budget_a_retry_needs_both() {
    let budget = RetryBudget { min_per_second: 0, ..RetryBudget::default() };
    let both = Retry { budget: Some(budget), ..Retry::limit(3) };
    let mut model = pair(retries(both), 10.0, seconds(10.0));
    model.services[1].errors = Errors::Share(1.0);
    assert_eq!(simulate(&model, 1).unwrap().edges[0].total.attempts, 100, "the budget is empty");
    let plenty = RetryBudget { min_per_second: 1_000, ..budget };
    model.edges[0].policy.retry = Some(Retry { budget: Some(plenty), ..Retry::limit(3) });
    assert_eq!(simulate(&model, 1).unwrap().edges[0].total.attempts, 400, "the limit is reached");
}

/// Rows c01 to c04: effective success with a limit, at 70 % failures.
#[test]
fn success_with_a_limit_is_that_of_the_formula() {
    for limit in [1, 3] {
        let mut model = pair(retries(Retry::limit(limit)), 100.0, seconds(100.0));
        model.services[1].errors = Errors::Share(0.7);
        let run = simulate(&model, 1).unwrap();
        let expected = meshy_predict::closed_form::limit_success(0.7, limit);
        assert!((run.success_ratio() - expected).abs() < 0.015, "{}, {expected}", run.success_ratio());
        let attempts = run.edges[0].total.attempts as f64 / run.offered() as f64;
        let expected = meshy_predict::closed_form::limit_attempts(0.7, limit).0;
        assert!((attempts - expected).abs() < 0.03, "{attempts}, {expected}");
    }
}

/// Row b01 and rules 58 and 60: seven failures, then probes after 1, 2, 4, … s; requests wait 3 s and fail, then fail at once.
#[test]
fn a_breaker_with_one_failing_pod_lets_seven_failures_and_a_few_probes_through() {
    let breaker = Some(Breaker::default());
    let mut model = pair(EdgePolicy { breaker, ..EdgePolicy::default() }, 5.0, seconds(30.0));
    model.services[1].errors = Errors::Share(1.0);
    let run = simulate(&model, 1).unwrap();
    let attempts = run.edges[0].total.attempts;
    assert!((11..=12).contains(&attempts), "{attempts} attempts reached the pod");
    let at_once = run.latencies.iter().filter(|latency| **latency < 0.1).count();
    let waited = run.latencies.iter().filter(|latency| **latency > 0.5).count();
    assert!(
        (60..=110).contains(&at_once) && (40..=80).contains(&waited),
        "{at_once} at once, {waited} waited"
    );
    assert!(
        run.latencies.last().is_some_and(|longest| (3.0..6.5).contains(longest)),
        "{:?}",
        run.latencies.last()
    );
}

/// Row b05: three pods of which one fails every request; with the breaker only its first failures and probes are seen.
#[test]
fn a_breaker_avoids_the_failing_pod_of_three() {
    let policy = |breaker| EdgePolicy { breaker, ..EdgePolicy::default() };
    // A pod that fails fast looks fast: without a breaker it keeps its share.
    let mut model = pair(policy(None), 10.0, seconds(30.0));
    model.services[1].replicas = 3;
    assert_eq!(simulate(&model, 1).unwrap().success_ratio(), 1.0);
    model.services[1].errors = Errors::Share(1.0);
    model.edges[0].policy = policy(Some(Breaker { max_failures: 3, ..Breaker::default() }));
    let run = simulate(&model, 1).unwrap();
    let attempts = run.edges[0].total.attempts;
    // Row b06: 21 in 20 s, 7 for each pod.
    assert!((18..=27).contains(&attempts), "{attempts}");
}

/// Rows d01 to d06: a rate limit lets its rate and one second's burst through; the rest gets a 429, which is not retried.
#[test]
fn a_rate_limit_rejects_what_exceeds_its_bucket() {
    let mut model = pair(retries(Retry::limit(3)), 10.0, seconds(20.0));
    model.services[1].rate_limit = RateLimit { total: Some(5.0), identity: None };
    let run = simulate(&model, 1).unwrap();
    let good = run.success_ratio() * 200.0;
    assert!((103.0..=106.0).contains(&good), "{good}: 5/s for 20 s and a burst of 5");
    assert_eq!(run.edges[0].total.attempts, 200);
    model.services[1].rate_limit = RateLimit { total: None, identity: Some(3.0) };
    let run = simulate(&model, 1).unwrap();
    let good = run.success_ratio() * 200.0;
    assert!((61.0..=64.0).contains(&good), "{good}");
}
