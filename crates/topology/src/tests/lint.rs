//! Policies on edges.

use std::time::Duration;

use crate::{EdgePolicy, PolicyEdge, Rule, lint};

fn retries(limit: u32) -> EdgePolicy {
    EdgePolicy {
        retry_limit: Some(limit),
        request_timeout: Some(Duration::from_secs(1)),
        ..EdgePolicy::default()
    }
}

fn edge(from: &str, to: &str, policy: EdgePolicy) -> PolicyEdge {
    PolicyEdge { from: from.to_owned(), to: to.to_owned(), policy }
}

fn messages(rule: Rule, edges: &[PolicyEdge]) -> Vec<String> {
    lint(edges).into_iter().filter(|finding| finding.rule == rule).map(|finding| finding.message).collect()
}

#[test]
fn retries_on_consecutive_edges_are_reported_with_the_worst_product() {
    let chain = [edge("a", "b", retries(2)), edge("b", "c", retries(2)), edge("c", "d", retries(2))];
    assert_eq!(
        messages(Rule::ConsecutiveRetries, &chain),
        ["retries on 3 consecutive edges multiply: up to 27 attempts at `d` for one request (3 × 3 × 3)"]
    );
    let found = lint(&chain).into_iter().find(|finding| finding.rule == Rule::ConsecutiveRetries).unwrap();
    assert_eq!(found.path, ["a", "b", "c", "d"]);
    // The first step of the worst path has fewer attempts than another edge.
    let branches = [
        edge("a", "b", retries(1)),
        edge("b", "c", retries(9)),
        edge("a", "d", retries(5)),
        edge("d", "e", retries(0)),
    ];
    assert_eq!(
        messages(Rule::ConsecutiveRetries, &branches),
        ["retries on 2 consecutive edges multiply: up to 20 attempts at `c` for one request (2 × 10)"]
    );
    let apart = [edge("a", "b", retries(2)), edge("b", "c", retries(0)), edge("c", "d", retries(2))];
    assert!(messages(Rule::ConsecutiveRetries, &apart).is_empty());
}

#[test]
fn a_budget_is_part_of_the_product_only_with_a_limit() {
    let budget = EdgePolicy { retry_limit: None, budget: true, ..retries(0) };
    let chain = [edge("a", "b", retries(2)), edge("b", "c", budget)];
    assert_eq!(
        messages(Rule::ConsecutiveRetries, &chain),
        [
            "retries on 2 consecutive edges multiply: up to 3 attempts at `c` for one request; a budget bounds the retries of `b` → `c`"
        ]
    );
}

#[test]
fn retries_in_a_cycle_and_in_long_chains_are_reported_once() {
    let cycle = [edge("a", "b", retries(1)), edge("b", "a", retries(1))];
    assert_eq!(messages(Rule::ConsecutiveRetries, &cycle).len(), 0, "one edge and the way back");
    let cycle = [edge("a", "b", retries(1)), edge("b", "c", retries(1)), edge("c", "a", retries(1))];
    assert_eq!(
        messages(Rule::ConsecutiveRetries, &cycle),
        ["retries on 2 consecutive edges multiply: up to 4 attempts at `c` for one request (2 × 2)"]
    );
    assert!(
        lint(&[edge("a", "a", retries(1))]).iter().all(|finding| finding.rule != Rule::ConsecutiveRetries)
    );
    let long: Vec<PolicyEdge> =
        (0..5_000).map(|n| edge(&format!("s{n}"), &format!("s{}", n + 1), retries(1))).collect();
    let found = messages(Rule::ConsecutiveRetries, &long);
    assert!(
        found[0].contains("more than 1000000000 attempts at `s5000`") && found[0].len() < 500,
        "{}",
        found[0].len()
    );
}

#[test]
fn inner_attempts_longer_than_the_outer_timeout_are_reported() {
    let outer = |milliseconds| EdgePolicy {
        request_timeout: Some(Duration::from_millis(milliseconds)),
        ..EdgePolicy::default()
    };
    let inner = EdgePolicy {
        retry_limit: Some(2),
        response_timeout: Some(Duration::from_millis(500)),
        ..EdgePolicy::default()
    };
    assert_eq!(
        messages(Rule::InnerTimeout, &[edge("a", "b", outer(1000)), edge("b", "c", inner)]),
        [
            "`b` waits up to 1500ms for `c` (3 attempts × 500ms), longer than `a` waits for `b` (1s): the work is wasted"
        ]
    );
    assert!(messages(Rule::InnerTimeout, &[edge("a", "b", outer(1500)), edge("b", "c", inner)]).is_empty());
    // A request timeout bounds all attempts.
    let bounded = EdgePolicy { request_timeout: Some(Duration::from_secs(1)), ..inner };
    assert!(messages(Rule::InnerTimeout, &[edge("a", "b", outer(1000)), edge("b", "c", bounded)]).is_empty());
    // The outer attempt ends first, although the request would wait longer.
    let attempts = EdgePolicy { retry_timeout: Some(Duration::from_millis(300)), ..outer(2000) };
    assert_eq!(
        messages(Rule::InnerTimeout, &[edge("a", "b", attempts), edge("b", "c", bounded)]),
        [
            "`b` waits up to 1s for `c` (its request timeout), longer than `a` waits for `b` (300ms): the work is wasted"
        ]
    );
}

#[test]
fn retries_without_a_timeout_are_reported() {
    let without = EdgePolicy { request_timeout: None, ..retries(1) };
    let edges = [edge("a", "b", without), edge("a", "c", retries(1)), edge("a", "d", EdgePolicy::default())];
    assert_eq!(
        messages(Rule::RetriesWithoutTimeout, &edges),
        ["retries from `a` to `b` have no timeout: a slow `b` keeps its clients waiting"]
    );
}

#[test]
fn several_clients_that_retry_without_a_budget_are_reported() {
    let budget = EdgePolicy { budget: true, ..retries(1) };
    let edges = [
        edge("a", "c", retries(1)),
        edge("b", "c", retries(1)),
        edge("d", "c", budget),
        edge("a", "e", retries(1)),
    ];
    assert_eq!(
        messages(Rule::SharedServiceWithoutBudget, &edges),
        ["`a` and `b` retry against `c` with a limit and no budget: when `c` is overloaded, all add load"]
    );
    let edges = [edge("a", "c", retries(1)), edge("b", "c", budget)];
    assert!(messages(Rule::SharedServiceWithoutBudget, &edges).is_empty());
}
