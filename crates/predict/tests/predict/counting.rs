//! Attempts per request where the last hop fails every attempt.

use meshy_predict::model::{Retry, RetryBudget};
use meshy_predict::{closed_form, simulate};

use crate::support::{failing_chain, seconds};

#[test]
fn retries_with_limit_2_on_each_edge_multiply_to_exactly_3_9_and_27_attempts() {
    let model = failing_chain(&Retry::limit(2), 5.0, seconds(10.0));
    let run = simulate(&model, 1).unwrap();
    assert_eq!(run.offered(), 50);
    let attempts: Vec<u64> = run.edges.iter().map(|edge| edge.total.attempts).collect();
    assert_eq!(attempts, [150, 450, 1_350]);
    assert_eq!(closed_form::limit_amplification(2, 3), [3.0, 9.0, 27.0]);
    assert_eq!(run.services[3].finished, 1_350, "the service counts what the proxies count");
    assert_eq!(run.success_ratio(), 0.0);
    assert!(run.edges.iter().all(|edge| edge.total.attempts_succeeded == 0));
}

/// With tower's bucket the reserve comes back in six tenths of the ttl, so that the growth per hop is 10/6 of the minimum.
#[test]
fn a_budget_adds_its_reserve_at_each_hop_and_does_not_multiply() {
    let budget = RetryBudget { min_per_second: 1, ..RetryBudget::default() };
    let model = failing_chain(&Retry::budget(budget), 30.0, seconds(50.0));
    let runs = 20;
    let simulated = (0..runs).map(|seed| simulate(&model, seed).unwrap()).collect::<Vec<_>>();
    for (hop, expected) in closed_form::budget_amplification(30.0, 1.0, 3).into_iter().enumerate() {
        let mean = simulated.iter().map(|run| run.amplification_in(hop, 20..50)).sum::<f64>() / runs as f64;
        eprintln!("hop {}: {mean}, closed form {expected}", hop + 1);
        assert!((mean / expected - 1.0).abs() < 0.05, "hop {}: {mean}, expected {expected}", hop + 1);
    }
    // At first each proxy has the whole reserve: 10 retries.
    let first = simulated[0].edges[0].seconds[..2].iter().map(|counts| counts.attempts - counts.requests);
    assert_eq!(first.sum::<u64>(), 10);
}
