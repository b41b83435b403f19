//! Repeated runs: determinism, threads, intervals, sweeps.

use std::num::NonZeroUsize;

use meshy_predict::model::{EdgePolicy, Errors, Model, Retry, RetryBudget};
use meshy_predict::sweep::{Parameter, sweep};
use meshy_predict::{Options, Prediction, predict, simulate};

use crate::support::{pair, retries, seconds};

fn failing(policy: EdgePolicy) -> Model {
    let mut model = pair(policy, 10.0, seconds(30.0));
    model.services[1].errors = Errors::Share(0.7);
    model
}

#[test]
fn the_same_seed_results_in_the_same_prediction_on_any_number_of_threads() {
    let model = failing(retries(Retry::limit(3)));
    let with = |threads, seed| {
        let options = Options { threads: NonZeroUsize::new(threads), seed, runs: 7, ..Options::default() };
        predict(&model, &options).unwrap()
    };
    assert_eq!(with(1, 5), with(3, 5));
    assert_ne!(with(1, 5), with(1, 6));
    assert_eq!(simulate(&model, 9), simulate(&model, 9));
}

#[test]
fn an_interval_of_many_runs_contains_a_run_with_another_seed() {
    let model = failing(retries(Retry::limit(3)));
    let prediction = predict(&model, &Options { runs: 100, ..Options::default() }).unwrap();
    let other = simulate(&model, 1_000).unwrap();
    assert!(prediction.success_ratio.holds(other.success_ratio()), "{:?}", prediction.success_ratio);
    assert!(prediction.success_ratio.high - prediction.success_ratio.low < 0.2);
    assert!(prediction.edges[0].actual_success_ratio.holds(0.3));
    assert_eq!(prediction.seconds.len(), 30);
}

/// The graph's simulation agrees with that of one edge, whose rows were measured on a real Linkerd.
#[test]
fn a_default_budget_succeeds_as_often_as_measured() {
    for (rate, measured) in [(5.0, 1.0), (10.0, 0.84), (20.0, 0.607), (40.0, 0.432)] {
        let mut model = failing(retries(Retry::budget(RetryBudget::default())));
        model.load.rate = rate;
        let prediction = predict(&model, &Options { runs: 100, ..Options::default() }).unwrap();
        assert!(prediction.success_ratio.holds(measured), "{rate}/s: {:?}", prediction.success_ratio);
    }
}

#[test]
fn a_sweep_has_a_row_for_each_value() {
    let success = |model: &Model, parameter, values: &[f64]| {
        let rows = sweep(model, parameter, values, &Options::default()).unwrap();
        rows.iter().map(|row| row.prediction.success_ratio.mean).collect::<Vec<_>>()
    };
    let limits = success(&failing(retries(Retry::limit(1))), Parameter::Limit, &[0.0, 1.0, 5.0]);
    assert!(limits.windows(2).all(|pair| pair[0] + 0.1 < pair[1]), "{limits:?}");
    let budget = retries(Retry::budget(RetryBudget { min_per_second: 0, ..RetryBudget::default() }));
    let ratios = success(&failing(budget.clone()), Parameter::Ratio, &[0.0, 0.5, 2.0]);
    assert!(ratios.windows(2).all(|pair| pair[0] < pair[1]), "{ratios:?}");
    let rates =
        success(&failing(retries(Retry::budget(RetryBudget::default()))), Parameter::Rate, &[5.0, 40.0]);
    assert!(rates[0] > rates[1] + 0.3, "{rates:?}");
    let mut slow = pair(EdgePolicy::default(), 10.0, seconds(10.0));
    slow.services[1].script = vec![meshy_predict::model::Step::Sleep(seconds(0.5))];
    for timeout in [Parameter::Timeout, Parameter::ResponseTimeout] {
        assert_eq!(success(&slow, timeout, &[0.2, 1.0]), [0.0, 1.0], "{timeout:?}");
    }
    let mut retried = slow.clone();
    retried.edges[0].policy = retries(Retry::limit(2));
    let attempts = |seconds: f64| {
        let rows = sweep(&retried, Parameter::RetryTimeout, &[seconds], &Options::default()).unwrap();
        rows[0].prediction.edges[0].attempts_per_request.mean
    };
    assert_eq!([attempts(0.2), attempts(1.0)], [3.0, 1.0], "a slow attempt is repeated");
    assert!(sweep(&slow, Parameter::Timeout, &[-1.0], &Options::default()).is_err());
}

#[test]
fn a_prediction_is_read_back_as_it_was_written() {
    let model = failing(retries(Retry::limit(3)));
    let prediction = predict(&model, &Options { runs: 2, ..Options::default() }).unwrap();
    let text = serde_json::to_string(&prediction).unwrap();
    let read: Prediction = serde_json::from_str(&text).unwrap();
    // The parser may change the last bit of a number.
    assert!((read.success_ratio.mean - prediction.success_ratio.mean).abs() < 1e-12);
    assert_eq!((read.edges.len(), read.seconds.len()), (1, 30));
    assert_eq!(read.services[1].name, "s2");
}
