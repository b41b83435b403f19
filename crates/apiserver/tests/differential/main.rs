//! The same requests to this server and to the real kube-apiserver, compared answer by answer.
//!
//! Without a testbed the real one's recorded answers (`recorded/`) stand in for it. With
//! `MESHY_TESTBED_KUBECONFIG` naming the kubeconfig of a running `testbed/apiserver`, the sequences run against it
//! too, and `MESHY_RECORD=1` writes its answers down. Differences that are meant are listed in
//! `docs/apiserver-differences.md` and in `support/compare.rs`.

mod support;

use support::compare::{Difference, compare};
use support::script::Step;
use support::target::{Answer, Target};
use support::{generate, script};

/// Seeds of the generated sequences; each makes one.
const SEEDS: std::ops::Range<u64> = 0..60;

fn sequences() -> Vec<(String, Vec<Step>)> {
    let mut all = script::fixed();
    all.extend(SEEDS.map(|seed| (format!("seed-{seed}"), generate::sequence(seed))));
    all
}

async fn run(target: &Target, name: &str, steps: &[Step]) -> Vec<Answer> {
    let mut answers = Vec::new();
    target.begin(name).await;
    for step in steps {
        answers.push(target.send(name, step).await);
    }
    target.end(name).await;
    answers
}

fn report(name: &str, steps: &[Step], found: &[(usize, Difference)]) -> String {
    found
        .iter()
        .map(|(index, difference)| format!("{name} #{index} {}\n{difference}\n", steps[*index]))
        .collect()
}

#[tokio::test]
async fn answers_are_those_recorded_from_the_real_server() {
    let recorded = support::recorded::read();
    let target = Target::here();
    let mut text = String::new();
    let (mut count, mut compared) = (0, 0);
    for (name, steps) in sequences() {
        let Some(theirs) = recorded.get(&name) else { continue };
        assert_eq!(theirs.len(), steps.len(), "{name}: record again with MESHY_RECORD=1");
        let ours = run(&target, &name, &steps).await;
        let found = compare(&ours, theirs);
        count += 1;
        compared += steps.len();
        text.push_str(&report(&name, &steps, &found));
    }
    assert!(count > 20, "only {count} sequences are recorded");
    eprintln!("{count} sequences, {compared} answers compared");
    assert!(text.is_empty(), "{text}");
}

#[tokio::test]
#[ignore = "needs the testbed: testbed/apiserver DIR PORT, then MESHY_TESTBED_KUBECONFIG=DIR/kubeconfig"]
async fn answers_are_those_of_the_real_server() {
    let Ok(file) = std::env::var("MESHY_TESTBED_KUBECONFIG") else {
        eprintln!("skipped: no testbed");
        return;
    };
    let (ours, theirs) = (Target::here(), Target::testbed(&file).await);
    let mut recorded = std::collections::BTreeMap::new();
    let mut text = String::new();
    let mut compared = 0;
    for (name, steps) in sequences() {
        let (mine, real) = (run(&ours, &name, &steps).await, run(&theirs, &name, &steps).await);
        compared += steps.len();
        text.push_str(&report(&name, &steps, &compare(&mine, &real)));
        recorded.insert(name, real);
    }
    eprintln!("{} sequences, {compared} answers compared", recorded.len());
    if std::env::var_os("MESHY_RECORD").is_some() {
        support::recorded::write(&recorded);
    }
    assert!(text.is_empty(), "{text}");
}
