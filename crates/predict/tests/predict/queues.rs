//! Workers and queues, against formulas of queueing theory.

use meshy_predict::model::{Capacity, Distribution, Load, Model, Step};
use meshy_predict::{Options, predict, simulate};

use crate::support::{capacity, millis, seconds};

fn single(capacity: Capacity, load: Load) -> Model {
    let mut model = Model::chain(1, load);
    model.services[0].capacity = Some(capacity);
    model.network.hop = seconds(0.0);
    model
}

/// M/M/4 with 40 of 50 requests per second: by Erlang's C formula a request waits 59.6 ms on average.
#[test]
fn waiting_times_are_those_of_erlangs_formula() {
    let exponential =
        Capacity { distribution: Distribution::Exponential, ..capacity(4, 1_000_000, millis(80)) };
    let model = single(exponential, Load::poisson(40.0, seconds(5_000.0)));
    let run = simulate(&model, 1).unwrap();
    let mean = run.latencies.iter().sum::<f64>() / run.latencies.len() as f64;
    let (offered, workers) = (40.0 * 0.08, 4.0);
    let term = |k: i32| f64::powi(offered, k) / (1..=k).map(f64::from).product::<f64>();
    let waiting = term(4) * workers / (workers - offered);
    let probability = waiting / ((0..4).map(term).sum::<f64>() + waiting);
    let expected = 0.08 + probability * 0.08 / (workers - offered);
    assert!((mean / expected - 1.0).abs() < 0.03, "{mean}, expected {expected}");
}

/// M/M/1/5: by the formula of the loss system, (1-ρ)ρ^n / (1-ρ^(n+1)) of the requests are rejected.
#[test]
fn a_full_queue_rejects_the_share_of_the_loss_formula() {
    let exponential = Capacity { distribution: Distribution::Exponential, ..capacity(1, 4, millis(50)) };
    let model = single(exponential, Load::poisson(16.0, seconds(5_000.0)));
    let run = simulate(&model, 1).unwrap();
    let (rho, places) = (0.8f64, 5);
    let expected = (1.0 - rho) * rho.powi(places) / (1.0 - rho.powi(places + 1));
    let rejected = run.services[0].rejected as f64 / run.offered() as f64;
    assert!((rejected / expected - 1.0).abs() < 0.05, "{rejected}, expected {expected}");
    assert!((run.success_ratio() - (1.0 - rejected)).abs() < 1e-9);
}

#[test]
fn a_worker_is_held_for_the_whole_script() {
    // Two workers, 10 ms of service time and 90 ms of script: 20 requests per second.
    let mut model = single(capacity(2, 10, millis(10)), Load::even(40.0, seconds(50.0)));
    model.services[0].script = vec![Step::Sleep(millis(90))];
    let run = simulate(&model, 1).unwrap();
    let per_second = run.services[0].finished as f64 / 50.0;
    assert!((20.0..=20.5).contains(&per_second), "{per_second}");
}

#[test]
fn steps_of_a_parallel_step_take_as_long_as_the_longest() {
    let mut model = Model::chain(3, Load::even(10.0, seconds(5.0)));
    model.network.hop = seconds(0.0);
    model.edges[1].from = 0;
    model.services[1].script = vec![Step::Sleep(millis(30))];
    model.services[2].script = vec![Step::Sleep(millis(50))];
    let latency = |script: Vec<Step>| {
        let mut model = model.clone();
        model.services[0].script = script;
        simulate(&model, 1).unwrap().latency_seconds(0.5)
    };
    let calls = || vec![Step::call(0), Step::call(1)];
    assert!((latency(calls()) - 0.08).abs() < 1e-9);
    assert!((latency(vec![Step::Parallel(calls())]) - 0.05).abs() < 1e-9);
}

#[test]
fn percentiles_are_predicted_with_an_interval() {
    let model = single(capacity(4, 100, millis(80)), Load::even(10.0, seconds(20.0)));
    let prediction = predict(&model, &Options::default()).unwrap();
    assert!(prediction.latency.p50_ms.holds(80.0), "{:?}", prediction.latency);
    assert!(prediction.goodput_ratio.holds(1.0));
}
