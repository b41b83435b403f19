use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// A request: when it ended in milliseconds, its outcome, its attempts, its latency in microseconds.
type Request = (u64, Outcome, Option<u32>, u64);

fn requests(rng: &mut StdRng, seconds: u64) -> Vec<Request> {
    let outcomes = [Outcome::Answer(200), Outcome::Answer(503), Outcome::Carried(500), Outcome::TimedOut];
    let one = |rng: &mut StdRng| {
        let outcome = outcomes[rng.random_range(0..outcomes.len())];
        let attempts = rng.random_bool(0.5).then(|| rng.random_range(1..200));
        let micros = 2f64.powf(rng.random_range(0.0..30.0)) as u64;
        (rng.random_range(0..seconds * 1000), outcome, attempts, micros)
    };
    (0..rng.random_range(0..300)).map(|_| one(rng)).collect()
}

fn report(requests: &[Request]) -> Report {
    let mut report = Report::default();
    for (at, outcome, attempts, micros) in requests {
        report.record(Duration::from_millis(*at), *outcome, *attempts, *micros);
    }
    report
}

fn merged(reports: &[&Report]) -> Report {
    let mut all = Report::default();
    reports.iter().for_each(|report| all.merge(report));
    all
}

/// Three parts of a load and their reports, of different lengths: short ones keep each second, long ones do not.
fn parts(seed: u64) -> (Vec<Vec<Request>>, Vec<Report>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let parts: Vec<Vec<Request>> = (0..3)
        .map(|_| {
            let seconds = [1, 60, 5_000, 20_000][rng.random_range(0..4)];
            requests(&mut rng, seconds)
        })
        .collect();
    let reports = parts.iter().map(|part| report(part)).collect();
    (parts, reports)
}

#[test]
fn a_merge_is_the_report_of_the_union_in_any_order_and_grouping() {
    for seed in 0..200 {
        let (parts, reports) = parts(seed);
        let [a, b, c] = &reports[..] else { unreachable!("three parts") };
        let union = report(&parts.concat());
        assert_eq!(merged(&[a, b, c]), union, "seed {seed}");
        assert_eq!(merged(&[c, a, b]), union, "seed {seed}: commutative");
        assert_eq!(
            merged(&[a, &merged(&[b, c])]),
            merged(&[&merged(&[a, b]), c]),
            "seed {seed}: associative"
        );
        assert_eq!(merged(&[&Report::default(), a]), *a, "seed {seed}: neutral element");
    }
}

#[test]
fn percentiles_of_a_merge_are_those_of_one_histogram_of_all_requests() {
    for seed in 0..50 {
        let (parts, reports) = parts(seed);
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3).unwrap();
        parts.concat().iter().for_each(|request| histogram.record(request.3.clamp(1, 600_000_000)).unwrap());
        let summary = merged(&reports.iter().collect::<Vec<_>>()).summary(Duration::from_secs(1), 1.0, false);
        for (found, quantile) in
            [(summary.latency.p50_ms, 0.5), (summary.latency.p95_ms, 0.95), (summary.latency.p99_ms, 0.99)]
        {
            let due = histogram.value_at_quantile(quantile) as f64 / 1000.0;
            assert!((found - due).abs() < 1e-9, "seed {seed}, quantile {quantile}: {found}, expected {due}");
        }
    }
}

#[test]
fn a_report_is_read_back_unchanged() {
    for seed in 0..20 {
        let (_, reports) = parts(seed);
        let text = serde_json::to_vec(&reports[0]).unwrap();
        assert_eq!(Report::from_json(&text).unwrap(), reports[0]);
    }
}

#[test]
fn a_long_run_is_condensed_and_loses_no_request() {
    let mut report = Report::default();
    for second in 0..10_000 {
        report.record(Duration::from_secs(second), Outcome::Answer(200), Some(1), 2_000);
        report.record(Duration::from_secs(second), Outcome::Answer(500), Some(3), 4_000);
    }
    let summary = report.summary(Duration::from_secs(10_000), 2.0, false);
    assert!(summary.ticks.len() <= MOST_SECONDS as usize);
    assert_eq!(summary.ticks.iter().map(|tick| tick.requests_count).sum::<u64>(), 20_000);
    assert_eq!((summary.requests_count, summary.success_ratio), (20_000, Some(0.5)));
    assert_eq!((summary.attempts(), summary.added_attempts_per_request()), (40_000, Some(1.0)));
    let covered: f64 = summary.ticks.iter().map(|tick| tick.length_seconds).sum();
    assert!((covered - 10_000.0).abs() < 1e-6, "{covered}");
}

#[test]
fn a_report_that_is_read_in_parts_is_the_whole_report() {
    for seed in 0..50 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut all = requests(&mut rng, 5_000);
        all.sort_unstable_by_key(|request| request.0);
        let (mut known, mut first) = (Report::default(), 0);
        let cuts = [all.len() / 3, all.len() / 2, all.len()];
        for cut in cuts {
            let now = report(&all[..cut]);
            known.update(now.since(first), first).unwrap();
            assert_eq!(known, now, "seed {seed}");
            first = known.last_second();
        }
    }
}

#[test]
fn reports_that_cannot_be_right_are_errors() {
    let valid = serde_json::to_value(Report::default()).unwrap();
    for (key, value) in [("version", 2), ("widthSeconds", 0), ("widthSeconds", 3), ("other", 1)] {
        let mut wrong = valid.clone();
        wrong[key] = value.into();
        assert!(Report::from_json(wrong.to_string().as_bytes()).is_err(), "{key}: {value}");
    }
    let (mut more, fewer) = (Report::default(), Report::default());
    more.record(Duration::ZERO, Outcome::Broken, None, 1);
    assert!(more.update(fewer, 0).is_err());
}
