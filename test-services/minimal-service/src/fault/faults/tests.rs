//! Changes of faults.

use http::StatusCode;
use serde_json::json;
use tokio::time::advance;

use super::*;
use crate::distribution::Distribution;
use crate::fault::Delay;

fn change(faults: &mut Faults, json: &serde_json::Value) {
    faults.change(serde_json::from_value(json.clone()).unwrap()).unwrap();
}

#[test]
fn a_change_keeps_absent_keys_and_an_invalid_change_keeps_all() {
    let mut faults = Faults::new(Fault { quota: 70, reject: true, ..Fault::default() });
    change(&mut faults, &json!({"quota": 20}));
    assert_eq!(faults.current(), &Fault { quota: 20, reject: true, ..Fault::default() });
    for (invalid, key) in [
        (json!({"quota": 30, "sequence": [99]}), "sequence"),
        (json!({"quota": 30, "errors": 1.1}), "errors"),
        (json!({"quota": 30, "slow": -1.0}), "slow"),
        (json!({"quota": 30, "delay": {"mean_ms": -1.0}}), "delay.mean_ms"),
        (json!({"quota": 30, "for_seconds": 0.0}), "for_seconds"),
    ] {
        let change = serde_json::from_value(invalid).unwrap();
        assert_eq!(faults.change(change).unwrap_err().key, key);
        assert_eq!(faults.current().quota, 20);
    }
}

#[test]
fn a_seed_is_removed_by_null_and_kept_if_the_key_is_absent() {
    let mut faults = Faults::new(Fault::default());
    for (value, seed) in
        [(json!({"seed": 7}), Some(7)), (json!({"quota": 1}), Some(7)), (json!({"seed": null}), None)]
    {
        change(&mut faults, &value);
        assert_eq!(faults.current().seed, seed, "{value}");
    }
}

#[test]
fn errors_and_delay_are_removed_by_null() {
    let mut faults = Faults::new(Fault::default());
    change(&mut faults, &json!({"errors": 0.5, "delay": {"mean_ms": 5.0}}));
    assert_eq!(faults.current().errors, Some(0.5));
    assert_eq!(faults.current().delay, Some(Delay { mean_ms: 5.0, distribution: Distribution::Fixed }));
    change(&mut faults, &json!({"errors": null, "delay": null}));
    assert_eq!(faults.current(), &Fault::default());
}

#[tokio::test(start_paused = true)]
async fn a_fault_with_a_duration_ends_and_the_permanent_fault_applies_again() {
    let mut faults = Faults::new(Fault::default());
    change(&mut faults, &json!({"slow": 2.0}));
    change(&mut faults, &json!({"slow": 5.0, "errors": 1.0, "for_seconds": 10.0}));
    change(&mut faults, &json!({"down": true, "for_seconds": 3.0}));
    advance(Duration::from_secs(2)).await;
    let report = serde_json::to_value(faults.report()).unwrap();
    assert_eq!(report["remaining_seconds"], json!({"slow": 8.0, "errors": 8.0, "down": 1.0}));
    assert_eq!(faults.next(), Action::Reject(StatusCode::INTERNAL_SERVER_ERROR));
    advance(Duration::from_secs(1)).await;
    assert_eq!((faults.current().down, faults.slow()), (false, 5.0));
    advance(Duration::from_secs(7)).await;
    assert_eq!(faults.current(), &Fault { slow: 2.0, ..Fault::default() });
    assert_eq!(faults.next(), Action::Serve);
    assert!(serde_json::to_value(faults.report()).unwrap().get("remaining_seconds").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_newer_change_of_a_key_replaces_the_one_with_a_duration() {
    let mut faults = Faults::new(Fault::default());
    change(&mut faults, &json!({"slow": 5.0, "errors": 0.5, "for_seconds": 10.0}));
    change(&mut faults, &json!({"slow": 1.0}));
    assert_eq!(faults.current(), &Fault { errors: Some(0.5), ..Fault::default() });
    change(&mut faults, &json!({"errors": 0.25, "for_seconds": 20.0}));
    advance(Duration::from_secs(15)).await;
    assert_eq!(faults.current().errors, Some(0.25), "the end of the first change has no effect");
    assert_eq!(faults.temporary.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_returns_to_the_faults_of_the_environment_and_their_random_numbers() {
    let manifest = Fault { quota: 50, reject: true, seed: Some(7), ..Fault::default() };
    let mut faults = Faults::new(manifest.clone());
    let first: Vec<_> = (0..64).map(|_| faults.next()).collect();
    change(&mut faults, &json!({"quota": 10, "seed": 8, "down": true}));
    change(&mut faults, &json!({"slow": 2.0, "for_seconds": 60.0}));
    change(&mut faults, &json!({"reset": true}));
    assert_eq!(faults.current(), &manifest);
    assert_eq!(faults.outage(), Outage::None);
    assert_eq!((0..64).map(|_| faults.next()).collect::<Vec<_>>(), first);
    change(&mut faults, &json!({"slow": 2.0, "quota": 10}));
    change(&mut faults, &json!({"reset": true, "quota": 20}));
    assert_eq!(faults.current(), &Fault { quota: 20, ..manifest }, "the keys of the change apply after it");
}

#[test]
fn delays_stay_below_the_original_maximum() {
    let mut faults = Faults::new(Fault { delay_max: 0.25, ..Fault::default() });
    for _ in 0..1_000 {
        assert!(faults.delay(Action::Serve) < Duration::from_millis(250));
    }
    assert_eq!(faults.delay(Action::Discard), Duration::ZERO, "only served requests have the original delay");
}

#[test]
fn a_delay_applies_to_failures_too_and_is_multiplied_by_the_slow_factor() {
    let mut faults = Faults::new(Fault::default());
    change(&mut faults, &json!({"delay": {"mean_ms": 20.0, "distribution": "fixed"}, "slow": 3.0}));
    let reject = Action::Reject(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!([faults.delay(Action::Serve), faults.delay(reject)], [Duration::from_millis(60); 2]);
}
