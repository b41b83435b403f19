//! Faults, errors and clients that disconnect.

use meshy_predict::model::{EdgePolicy, Errors, Fault, FaultKind, Model, Retry, Step};
use meshy_predict::simulate;

use crate::support::{capacity, millis, pair, retries, seconds};

fn with_fault(mut model: Model, kind: FaultKind) -> Model {
    model.faults = vec![Fault { kind, at: seconds(5.0), lasts: seconds(5.0) }];
    model
}

#[test]
fn errors_in_blocks_fail_exactly_seven_of_each_ten() {
    let mut model = pair(EdgePolicy::default(), 10.0, seconds(30.0));
    model.services[1].errors = Errors::Blocks(7);
    let good = |model: &Model, seed| {
        let run = simulate(model, seed).unwrap();
        run.seconds.iter().map(|second| second.good).collect::<Vec<u32>>()
    };
    assert_eq!(good(&model, 1), [3; 30]);
    // With 7 requests per second, blocks do not begin with seconds, and their order shows.
    model.load.rate = 7.0;
    assert_eq!(good(&model, 1).iter().sum::<u32>(), 63);
    assert_ne!(good(&model, 1), good(&model, 2), "blocks are shuffled");
}

#[test]
fn connections_to_a_service_that_is_down_are_refused_and_retried() {
    let down = |policy| with_fault(pair(policy, 10.0, seconds(15.0)), FaultKind::Down { service: 1 });
    let mut model = down(retries(Retry::limit(2)));
    let run = simulate(&model, 1).unwrap();
    // The last retries of the last request may come after the fault.
    let attempts = run.edges[0].total.attempts;
    assert!((100 + 3 * 50 - 2..=100 + 3 * 50).contains(&attempts), "{attempts}");
    assert!((100..=101).contains(&run.services[1].finished), "{:?}", run.services[1]);
    // As on a real Linkerd, row z6: three refused connections and two backoffs are a median of 875 ms there.
    model.network.refused = millis(115);
    let run = simulate(&model, 1).unwrap();
    let slowest = run.latencies.last().copied().unwrap_or_default();
    assert!((0.42..0.50).contains(&slowest), "{slowest}");
}

#[test]
fn a_slow_service_takes_longer_while_the_fault_lasts() {
    let mut model = with_fault(
        pair(EdgePolicy::default(), 10.0, seconds(15.0)),
        FaultKind::Slow { service: 1, factor: 3.0 },
    );
    model.services[1].capacity = Some(capacity(10, 0, millis(50)));
    let run = simulate(&model, 1).unwrap();
    let slow = run.latencies.iter().filter(|latency| **latency > 0.15).count();
    assert_eq!(slow, 50);
    assert!(run.latency_seconds(0.5) < 0.06);
}

#[test]
fn a_late_response_is_a_success_but_not_goodput() {
    let mut model = pair(EdgePolicy::default(), 10.0, seconds(5.0));
    model.services[1].script = vec![Step::Sleep(seconds(2.1))];
    let run = simulate(&model, 1).unwrap();
    assert_eq!((run.success_ratio(), run.goodput_ratio()), (1.0, 0.0));
}

#[test]
fn an_error_share_applies_while_the_fault_lasts() {
    let errors = FaultKind::Errors { service: 1, errors: Errors::Share(1.0) };
    let run = simulate(&with_fault(pair(EdgePolicy::default(), 10.0, seconds(15.0)), errors), 1).unwrap();
    let good: Vec<u32> = run.seconds.iter().map(|second| second.good).collect();
    assert_eq!(good, [[10; 5], [0; 5], [10; 5]].concat());
}

#[test]
fn the_failure_of_an_optional_call_leaves_the_request_successful() {
    let mut model = pair(EdgePolicy::default(), 10.0, seconds(5.0));
    model.services[1].errors = Errors::Share(1.0);
    assert_eq!(simulate(&model, 1).unwrap().success_ratio(), 0.0);
    model.services[0].script = vec![Step::Call { edge: 0, optional: true, probability: 0.5 }];
    let run = simulate(&model, 1).unwrap();
    assert_eq!(run.success_ratio(), 1.0);
    assert!((10..=40).contains(&run.edges[0].total.attempts), "made with a probability of one half");
}

#[test]
fn work_without_a_client_continues_and_is_wasted_unless_the_service_cancels() {
    let policy = EdgePolicy { timeout: Some(millis(100)), ..EdgePolicy::default() };
    let mut model = pair(policy, 10.0, seconds(10.0));
    model.services[1].capacity = Some(capacity(4, 100, millis(300)));
    let run = simulate(&model, 1).unwrap();
    assert_eq!((run.success_ratio(), run.wasted_ratio()), (0.0, 1.0));
    let (finished, spent) = (run.services[1].finished, run.services[1].service_seconds);
    assert_eq!(finished, 100);
    assert!((spent - 30.0).abs() < 1e-6, "{spent}");

    model.services[1].capacity = model.services[1].capacity.map(|mut capacity| {
        capacity.cancel = true;
        capacity
    });
    let run = simulate(&model, 1).unwrap();
    let spent = run.services[1].service_seconds;
    assert!((9.0..=10.0).contains(&spent), "each request works for 100 ms at most: {spent}");
}

#[test]
fn a_service_that_cancels_stops_its_calls_as_well() {
    let mut model = Model::chain(3, meshy_predict::model::Load::even(10.0, seconds(10.0)));
    model.edges[0].policy.timeout = Some(millis(100));
    model.services[1].capacity = Some(capacity(100, 0, millis(50)));
    model.services[2].script = vec![Step::Sleep(millis(200))];
    let slow = Retry { retry_timeout: Some(millis(20)), ..Retry::limit(10) };
    model.edges[1].policy.retry = Some(slow);
    let continued = simulate(&model, 1).unwrap().edges[1].total.attempts;
    model.services[1].capacity.as_mut().unwrap().cancel = true;
    let canceled = simulate(&model, 1).unwrap().edges[1].total.attempts;
    assert_eq!(continued, 1_100);
    assert!(canceled <= 200, "{canceled} attempts within 50 ms");
}
