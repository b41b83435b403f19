//! Sends the same requests to this server and to kube-apiserver and compares the responses.
//!
//! Without a testbed the responses are compared with recorded responses of kube-apiserver (`recorded/`). If
//! `MESHY_TESTBED_KUBECONFIG` is the kubeconfig of a running `testbed/apiserver`, the sequences are also sent to it, and
//! `MESHY_RECORD=1` records its responses. Intended differences are listed in `docs/apiserver-differences.md` and in
//! `support/compare.rs`.

mod support;

use support::compare::{Difference, compare};
use support::step::Step;
use support::target::{Response, Target};
use support::{generate, sequences};

/// Random seeds of the generated sequences.
const SEEDS: std::ops::Range<u64> = 0..60;

fn sequences() -> Vec<(String, Vec<Step>)> {
    let mut all = sequences::fixed();
    all.extend(SEEDS.map(|seed| (format!("seed-{seed}"), generate::sequence(seed))));
    all
}

async fn run(target: &Target, name: &str, steps: &[Step]) -> Vec<Response> {
    let mut responses = Vec::new();
    target.prepare(name).await;
    for step in steps {
        responses.push(target.send(name, step).await);
    }
    target.clean_up(name).await;
    responses
}

fn report(name: &str, steps: &[Step], found: &[(usize, Difference)]) -> String {
    found
        .iter()
        .map(|(index, difference)| format!("{name} #{index} {}\n{difference}\n", steps[*index]))
        .collect()
}

#[tokio::test]
async fn responses_equal_recorded_responses_of_kube_apiserver() {
    let recorded = support::recorded::read();
    let target = Target::in_process();
    let mut text = String::new();
    let (mut count, mut compared) = (0, 0);
    for (name, steps) in sequences() {
        let expected = recorded.get(&name).unwrap_or_else(|| panic!("{name}: record it with MESHY_RECORD=1"));
        assert_eq!(expected.len(), steps.len(), "{name}: record again with MESHY_RECORD=1");
        let actual = run(&target, &name, &steps).await;
        let found = compare(&actual, expected);
        count += 1;
        compared += steps.len();
        text.push_str(&report(&name, &steps, &found));
    }
    assert!(count > 0, "no sequence was compared");
    eprintln!("{count} sequences, {compared} responses compared");
    assert!(text.is_empty(), "{text}");
}

#[tokio::test]
#[ignore = "needs the testbed: testbed/apiserver DIR PORT, then MESHY_TESTBED_KUBECONFIG=DIR/kubeconfig"]
async fn responses_equal_those_of_kube_apiserver() {
    let file = std::env::var("MESHY_TESTBED_KUBECONFIG")
        .expect("MESHY_TESTBED_KUBECONFIG is the testbed's kubeconfig");
    let (ours, real) = (Target::in_process(), Target::testbed(&file).await);
    let mut recorded = std::collections::BTreeMap::new();
    let mut text = String::new();
    let mut compared = 0;
    for (name, steps) in sequences() {
        let actual = run(&ours, &name, &steps).await;
        let expected = run(&real, &name, &steps).await;
        compared += steps.len();
        text.push_str(&report(&name, &steps, &compare(&actual, &expected)));
        recorded.insert(name, expected);
    }
    eprintln!("{} sequences, {compared} responses compared", recorded.len());
    if std::env::var_os("MESHY_RECORD").is_some() {
        support::recorded::write(&recorded);
    }
    assert!(text.is_empty(), "{text}");
}
