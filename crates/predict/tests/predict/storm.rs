//! The classes of the storm: which policies recover from which trigger.

use meshy_predict::predict::Classes;
use meshy_predict::storm::{Storm, StormPolicy, Trigger, policies, triggers};
use meshy_predict::{Model, Options};
use meshy_topology::Topology;

fn policy(name: &str) -> StormPolicy {
    policies().into_iter().find(|policy| policy.name == name).expect("a policy of the scenario")
}

fn classes(storm: &Storm, policy: &StormPolicy, trigger: Option<&Trigger>, runs: usize) -> Classes {
    let options = Options { runs, ..Options::default() };
    storm.predict(policy, trigger, &options).unwrap().classes.unwrap()
}

/// Expected metastable runs of 10, in the order of `triggers()`.
const EXPECTED: [(&str, [u64; 3]); 5] = [
    ("none", [0, 0, 0]),
    ("timeouts", [0, 0, 0]),
    ("retries-everywhere", [10, 10, 10]),
    ("retries-first-edge", [0, 10, 10]),
    ("budget", [0, 0, 0]),
];

#[test]
fn ten_of_ten_runs_have_the_class_of_the_table() {
    let storm = Storm::default();
    assert_eq!(EXPECTED.map(|(name, _)| name), policies().map(|policy| policy.name));
    for (name, expected) in EXPECTED {
        let found = triggers().map(|trigger| {
            let classes = classes(&storm, &policy(name), Some(&trigger), 10);
            assert_eq!(classes.recovered_count + classes.metastable_count, 10);
            classes.metastable_count
        });
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn recovery_takes_seconds_where_it_happens_and_is_immediate_after_a_refusal() {
    let storm = Storm::default();
    let [down, slow, load] = triggers();
    for name in ["none", "timeouts", "retries-first-edge", "budget"] {
        let classes = classes(&storm, &policy(name), Some(&down), 10);
        assert_eq!(classes.recovery_seconds, Some((0, 0, 0)), "{name}");
    }
    for (name, trigger) in [("timeouts", slow), ("timeouts", load), ("budget", slow), ("budget", load)] {
        let (_, _, most) = classes(&storm, &policy(name), Some(&trigger), 10).recovery_seconds.unwrap();
        assert!(most <= 15, "{name} {trigger}: {most} s");
    }
}

#[test]
fn only_a_pause_restores_goodput_after_retries_everywhere() {
    for trigger in triggers() {
        let classes = classes(&Storm::default(), &policy("retries-everywhere"), Some(&trigger), 10);
        let restored = (classes.restored_by_reduced_load_count, classes.restored_by_pause_count);
        assert_eq!(restored, (0, 10), "{trigger}");
    }
}

#[test]
fn without_a_trigger_no_policy_collapses_within_300_seconds() {
    for policy in policies() {
        let classes = classes(&Storm::default(), &policy, None, 10);
        assert_eq!((classes.stable_count, classes.collapsed_count), (10, 0), "{}", policy.name);
    }
}

#[test]
fn the_short_form_separates_retries_everywhere_from_a_budget() {
    let bad = |name| classes(&Storm::small(), &policy(name), Some(&Trigger::SHORT), 300).bad_ratio();
    assert!(bad("budget") <= 0.01, "{}", bad("budget"));
    assert!(bad("retries-everywhere") >= 0.99, "{}", bad("retries-everywhere"));
}

#[test]
fn the_shipped_topologies_are_the_storms_chains() {
    for (name, storm) in [("chain-4", Storm::default()), ("chain-4-small", Storm::small())] {
        let topology = Topology::load(name).unwrap();
        let shipped = Model::from_topology(&topology, &Default::default()).unwrap();
        let storm = storm.model(&policy("none"), None);
        assert_eq!(shipped.services[3].capacity, storm.services[3].capacity, "{name}");
        assert_eq!((shipped.edges, shipped.entry), (storm.edges, storm.entry), "{name}");
    }
}

/// Which pairs are split and so cannot ship with a verdict: 1,500 simulated runs.
#[test]
fn no_shipped_pair_is_split_in_100_runs() {
    for policy in policies() {
        for trigger in triggers() {
            let classes = classes(&Storm::default(), &policy, Some(&trigger), 100);
            let ratio = classes.bad_ratio();
            assert!(!classes.is_split(), "{} {trigger}: {ratio}", policy.name);
        }
    }
}
