//! The grammar, and decisions by intervals.

use std::time::Duration;

use super::{Basis, Condition, Verdict, evaluate, evaluate_by, parse_list};
use crate::event::{
    ArrivalSecond, AttemptCounts, Counts, EdgeCounts, Event, Kind, Outcome, StepEnded, StepStarted, Tick,
    Totals,
};
use crate::latency::Latencies;
use crate::run::Results;

fn parse(text: &str) -> Condition {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Asserts the verdict on each of these conditions.
#[track_caller]
fn assert_verdicts(results: &Results, expected: &[(&str, Verdict)]) {
    for (text, expected) in expected {
        let condition_result = evaluate(&parse(text), results).remove(0);
        assert_eq!(condition_result.verdict, *expected, "{condition_result}");
    }
}

#[test]
fn conditions_are_printed_in_their_usual_form() {
    for (text, usual) in [
        ("success>=99%", "success >= 99%"),
        ("retries.success > no-retries.success", "retries.success > no-retries.success"),
        ("a.p99@front->cart<0.2s", "a.p99@front->cart < 200ms"),
        ("v/a[20s..50s].amplification@stock <= 1.5x", "v/a[20s..50s].amplification@stock <= 1.5"),
        ("a[500ms..1.5s].rate >= 2/s", "a[500ms..1500ms].rate >= 2/s"),
        ("a.outcomes.timed-out == 0", "a.outcomes.timed-out == 0"),
        ("status.503 < 5 %", "status.503 < 5%"),
        ("budget/storm.class==recovered", "budget/storm.class == recovered"),
        ("storm.recovery < 15s", "storm.recovery < 15s"),
        ("a.mutual-tls@web->app == 100%", "a.mutual-tls@web->app == 100%"),
        ("a.share@v2~10%", "a.share@v2 ~ 10%"),
        ("added-load<300%", "added-load < 300%"),
    ] {
        let condition = parse(text);
        assert_eq!(condition.to_string(), usual);
        assert_eq!(parse(usual), condition);
    }
}

#[test]
fn an_error_has_its_column_and_the_nearest_name() {
    for (text, column, part) in [
        ("success", 1, "there is no comparison"),
        ("a.success >", 1, "a side of the comparison is missing"),
        ("a.p99 ~ 10ms", 9, "compares a share with a predicted one"),
        ("a.sucess > 1%", 3, "unknown metric `sucess`; did you mean `success`?"),
        ("a.success > 95", 13, "expected a percentage such as 95%"),
        ("a.p99 < 5", 9, "expected a duration such as 200ms"),
        ("a.success > b.p99", 13, "different units"),
        ("a.outcomes.timedout == 0", 12, "did you mean `timed-out`?"),
        ("a.status.99 == 0", 10, "invalid status `99`"),
        ("a.class > recovered", 1, "a class is compared by == or !="),
        ("a.class == recoverd", 12, "did you mean `recovered`?"),
        ("a.p99 == 5ms", 1, "compares counts exactly"),
        ("a.added-load == 5%", 1, "compares counts exactly"),
        ("a.added-load ~ 5%", 16, "compares a share with a predicted one"),
        ("rate > 1.5", 8, "expected a rate such as 30/s"),
        ("a[5s..2s].success > 1%", 3, "invalid window"),
        ("a[1s..2s].p99 < 1s", 11, "over the whole step only"),
        ("a.share < 5%", 3, "`share` needs a place"),
        ("a.goodput@b < 5%", 3, "at the sender only"),
        ("a.success@x y < 5%", 11, "invalid name `x y`"),
        ("é.success > 1%", 1, "invalid name"),
    ] {
        let error = text.parse::<Condition>().expect_err(text);
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(error.column, column, "{text}: {error}");
    }
    assert_eq!(parse_list("success>1%, p9 < 5ms").unwrap_err().column, 13);
    assert_eq!(parse_list("success>1%,p99<5ms").unwrap().len(), 2);
}

#[test]
fn no_text_makes_the_parser_panic() {
    use rand::{RngExt as _, SeedableRng as _};
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let parts = [
        "a", ".", "success", "@", "->", "<", ">=", "95%", "[", "1s..2s", "]", "/", " ", "é", "outcomes",
        "==", "5",
    ];
    for _ in 0..20_000 {
        let text: String =
            (0..random.random_range(0..9)).map(|_| parts[random.random_range(0..parts.len())]).collect();
        if let Ok(condition) = text.parse::<Condition>() {
            assert_eq!(parse(&condition.to_string()), condition, "{text}");
        }
    }
}

/// A step with so many successes of 100 requests, retries at its edge, and latencies of 1 to 100 ms.
fn totals(succeeded: u64, attempts: u64) -> Totals {
    let statuses = [("200".to_owned(), succeeded), ("500".to_owned(), 100 - succeeded)].into();
    let load = Counts {
        offered: 100,
        requests: 100,
        succeeded,
        in_time: succeeded,
        statuses,
        outcomes: [(Outcome::FirstAttempt, succeeded), (Outcome::NotRetryable, 100 - succeeded)].into(),
    };
    let edge = EdgeCounts {
        from: "front".to_owned(),
        to: "cart".to_owned(),
        requests: 100,
        succeeded,
        attempts,
        attempts_succeeded: succeeded,
        attempts_mutual_tls: Some(attempts),
        ..EdgeCounts::default()
    };
    let latencies = Latencies::from_counts((1..=100).map(|ms| (ms * 1000, 1)));
    Totals { duration_ms: 10_000, load, latencies, edges: vec![edge], ..Totals::default() }
}

fn add(results: &mut Results, variant: Option<&str>, kind: Kind) {
    results.apply(&Event::new(jiff::Timestamp::UNIX_EPOCH, Duration::ZERO, variant, kind));
}

fn step(results: &mut Results, variant: Option<&str>, step: &str, totals: Totals) {
    let started =
        StepStarted { step: step.to_owned(), watched: Some("cart".to_owned()), ..StepStarted::default() };
    add(results, variant, Kind::StepStarted(started));
    add(
        results,
        variant,
        Kind::StepEnded(StepEnded { step: step.to_owned(), totals, ..StepEnded::default() }),
    );
}

fn results() -> Results {
    let mut results = Results::default();
    step(&mut results, None, "low", totals(30, 100));
    step(&mut results, None, "high", totals(98, 330));
    step(&mut results, None, "all", totals(100, 400));
    results
}

fn verdict(text: &str) -> (Verdict, String) {
    let condition_result = evaluate(&parse(text), &results()).remove(0);
    (condition_result.verdict, condition_result.measured)
}

#[test]
fn a_comparison_is_decided_only_where_the_intervals_lie_apart() {
    use Verdict::{Met, NotMet, Undecided};
    for (text, expected) in [
        ("high.success > low.success", Met),
        ("low.success > high.success", NotMet),
        ("all.success > high.success", Undecided),
        ("high.success > 90%", Met),
        ("high.success >= 97%", Undecided),
        ("low.success >= 90%", NotMet),
        ("all.success >= 100%", Met),
        ("high.success >= 100%", NotMet),
        ("all.outcomes.not-retryable <= 0%", Met),
        ("low.actual-success@cart < 45%", Met),
        ("high.amplification@cart > 2.5", Met),
        ("high.amplification@cart > 3.2", Undecided),
        ("all.amplification == 4", Met),
        ("all.added-load >= 100%", Met),
        ("all.added-load < 320%", Undecided),
        ("low.added-load@cart <= 0%", Met),
        ("high.amplification == 4", NotMet),
        ("low.amplification@front->cart <= 1", Met),
        ("low.rate >= 10/s", Met),
        ("high.actual-rate > 20/s", Met),
        ("low.p50 < 65ms", Met),
        ("low.p50 < 52ms", Undecided),
        ("low.max < 90ms", NotMet),
        ("low.status.500 == 70", Met),
        ("low.status.500 == 70%", Met),
        ("low.status.500 > 50%", Met),
        ("low.status.503 == 0", Met),
        ("low.mutual-tls@cart == 100%", Met),
        ("low.share@cart == 100%", Met),
        ("low.share@price <= 0%", Met),
        ("low.goodput < 50%", Met),
    ] {
        assert_eq!(verdict(text).0, expected, "{text}: {}", verdict(text).1);
    }
}

#[test]
fn by_the_measured_values_no_condition_of_a_measured_step_is_undecided() {
    use Verdict::{Met, NotMet};
    let results = results();
    for (text, expected, measured) in [
        ("high.success >= 97%", Met, "98 % (98 of 100)"),
        ("high.success > 98%", NotMet, "98 % (98 of 100)"),
        ("high.amplification@cart > 3.2", Met, "3.3 (330 attempts of 100 requests)"),
        ("all.added-load < 301%", Met, "300 %"),
        ("low.status.500 > 69%", Met, "70 % (70 of 100)"),
        ("all.success > high.success", Met, "100 % (100 of 100) compared with 98 % (98 of 100)"),
    ] {
        let result = evaluate_by(Basis::Values, &parse(text), &results).remove(0);
        assert_eq!((result.verdict, result.measured.as_str()), (expected, measured), "{text}");
    }
}

#[test]
fn added_load_without_a_proxy_is_that_which_the_service_reported_to_the_sender() {
    let mut results = Results::default();
    let counts = |requests| AttemptCounts { requests, ..AttemptCounts::default() };
    let attempts = [(1, counts(50)), (3, counts(50))].into();
    step(&mut results, None, "a", Totals { edges: Vec::new(), attempts, ..totals(100, 100) });
    let result = evaluate_by(Basis::Values, &parse("added-load <= 100%"), &results).remove(0);
    assert_eq!((result.verdict, result.measured.as_str()), (Verdict::Met, "100 %"));
}

#[test]
fn the_numbers_are_given_in_words() {
    assert_eq!(verdict("low.success >= 90%").1, "30 % (21.89 to 39.58 %, 30 of 100)");
    assert_eq!(
        verdict("high.success >= 97%").1,
        "98 % (93 to 99.45 %, 98 of 100); the interval contains 97 %"
    );
    assert_eq!(
        verdict("all.success > high.success").1,
        "100 % (96.3 to 100 %, 100 of 100) compared with 98 % (93 to 99.45 %, 98 of 100); the intervals overlap"
    );
    assert_eq!(verdict("all.amplification == 4").1, "4 (3.68 to 4.36, 400 attempts of 100 requests)");
    assert_eq!(verdict("low.status.500 == 71").1, "70");
}

#[test]
fn what_was_not_measured_is_undecided_with_the_reason() {
    for (text, reason) in [
        ("none.success > 1%", "step `none` did not run"),
        ("success > 1%", "several steps"),
        ("low.success@price > 1%", "no proxy counted requests to `price`"),
        ("low.class == recovered", "the step has no trigger"),
        ("low.wasted@cart < 1%", "service `cart` reported no counts"),
        ("low.probes@cart >= 1", "service `cart` reported no counts"),
        ("low.p99@cart < 1s", "no latency was measured"),
        ("low[1s..30s].success > 1%", "measured for 10 s only"),
    ] {
        let (verdict, measured) = verdict(text);
        assert_eq!(verdict, Verdict::Undecided, "{text}");
        assert!(measured.starts_with("not measured: ") && measured.contains(reason), "{text}: {measured}");
    }
}

/// Ten seconds with 10 requests each; from second 5 on each has 3 attempts, the last two fail. The ticks of these seconds have stale counts.
fn ten_seconds(stale: &[u64]) -> Results {
    let mut results = Results::default();
    let started =
        StepStarted { step: "a".to_owned(), watched: Some("x".to_owned()), ..StepStarted::default() };
    add(&mut results, None, Kind::StepStarted(started));
    for second in 1..=10_u64 {
        let late = second.saturating_sub(5);
        let edge = EdgeCounts {
            to: "x".to_owned(),
            requests: 10 * second,
            attempts: 10 * second + 20 * late,
            attempts_succeeded: 10 * second,
            ..EdgeCounts::default()
        };
        let load = Counts { requests: 10 * second, succeeded: 10 * second, ..Counts::default() };
        // Ticks arrive a little late.
        let tick = Tick {
            step: "a".to_owned(),
            at_ms: second * 1000 + 20,
            load,
            edges: vec![edge],
            is_stale: stale.contains(&second),
            ..Tick::default()
        };
        add(&mut results, None, Kind::Tick(tick));
    }
    results
}

#[test]
fn a_window_counts_what_happened_within_it() {
    let results = ten_seconds(&[]);
    assert_verdicts(
        &results,
        &[
            ("a[0s..5s].amplification == 1", Verdict::Met),
            ("a[5s..10s].amplification@x == 3", Verdict::Met),
            ("a[5s..10s].actual-success < 50%", Verdict::Met),
            ("a[2s..4s].rate >= 10/s", Verdict::Met),
        ],
    );
}

#[test]
fn a_window_is_not_measured_by_stale_counts_of_proxies() {
    let results = ten_seconds(&[1, 3, 4, 6, 7]);
    assert_verdicts(
        &results,
        &[
            ("a[2s..5s].amplification@x == 1", Verdict::Met),
            ("a[2s..4s].amplification@x == 1", Verdict::Undecided),
            ("a[3s..5s].amplification == 1", Verdict::Undecided),
            ("a[3s..5s].share@x >= 0%", Verdict::Undecided),
            ("a[3s..4s].rate >= 9/s", Verdict::Met),
        ],
    );
}

#[test]
fn a_condition_without_a_variant_is_checked_for_each_one() {
    let mut results = Results::default();
    for (variant, succeeded) in [("none", 30), ("budget", 99)] {
        step(&mut results, Some(variant), "storm", totals(succeeded, 100));
    }
    let found = evaluate(&parse("storm.success > 50%"), &results);
    let verdicts: Vec<_> = found.iter().map(|one| (one.variant.as_deref(), one.verdict)).collect();
    assert_eq!(verdicts, [(Some("budget"), Verdict::Met), (Some("none"), Verdict::NotMet)]);
    let compared = evaluate(&parse("budget/storm.success > none/storm.success"), &results);
    assert_eq!((compared.len(), compared[0].verdict), (1, Verdict::Met));
}

#[test]
fn a_share_is_near_a_predicted_one_if_chance_explains_the_difference() {
    let mut results = Results::default();
    step(&mut results, None, "a", totals(90, 100));
    assert_verdicts(
        &results,
        &[
            ("a.success ~ 90%", Verdict::Met),
            ("a.success ~ 80%", Verdict::Met),
            ("a.success ~ 70%", Verdict::NotMet),
            ("a.success ~ 100%", Verdict::NotMet),
        ],
    );
    let condition_result = evaluate(&parse("a.success ~ 80%"), &results).remove(0);
    assert!(
        condition_result.measured.ends_with("90 of 100), predicted 80 % (64 % to 96 %)"),
        "{condition_result}"
    );
}

#[test]
fn the_class_and_the_recovery_come_from_goodput_after_the_trigger() {
    let mut results = Results::default();
    for (name, good_from) in [("fast", 11_usize), ("never", 100)] {
        let arrival =
            |second| ArrivalSecond { offered: 10, in_time: if second >= good_from { 10 } else { 0 } };
        let totals =
            Totals { duration_ms: 56_000, arrivals: (0..56).map(arrival).collect(), ..Totals::default() };
        let started = StepStarted {
            step: name.to_owned(),
            duration_ms: 56_000,
            trigger_end_ms: Some(11_000),
            ..StepStarted::default()
        };
        add(&mut results, None, Kind::StepStarted(started));
        add(
            &mut results,
            None,
            Kind::StepEnded(StepEnded { step: name.to_owned(), totals, ..StepEnded::default() }),
        );
    }
    assert_verdicts(
        &results,
        &[
            ("fast.class == recovered", Verdict::Met),
            ("fast.recovery <= 1s", Verdict::Met),
            ("never.class == recovered", Verdict::NotMet),
            ("never.class != recovered", Verdict::Met),
            ("never.recovery < 1h", Verdict::NotMet),
        ],
    );
}

#[test]
fn the_page_lists_every_metric_and_outcome_and_its_example_is_valid() {
    let page = include_str!("../../../../docs/scenarios.md");
    for name in super::Metric::NAMES {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    for outcome in Outcome::ALL {
        assert!(page.contains(&format!("`{}`", outcome.id())), "{}", outcome.id());
    }
    for kind in crate::scenario::policies::KINDS {
        assert!(page.contains(kind), "{kind}");
    }
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let scenario =
        crate::scenario::Scenario::parse("docs", example, &crate::scenario::Settings::default()).unwrap();
    assert_eq!((scenario.steps.len(), scenario.conditions().len()), (2, 3));
}
