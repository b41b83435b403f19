//! Memory of an embedded lab after a peak of writes.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::home::Home;
use crate::https::Lab;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// What the writes add at least, in KiB: a map of this size takes 40 MiB as a tree.
const PEAK: u64 = 64 * 1024;

/// What may stay next to a quarter of the memory before, in KiB.
const ALLOWANCE: u64 = 16 * 1024;

/// The process looks for a peak that is over each 2 s; a busy machine may take longer.
const LONGEST: Duration = Duration::from_secs(90);

/// Resident memory without files, in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the lab runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux has it");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn memory_returns_after_a_peak_of_writes() {
    let home = Home::new();
    home.good("up --provider embedded");
    let lab = Lab::of(&home);
    let before = resident(lab.process);
    let data: Map<String, Value> = (0..150_000).map(|n| (format!("k{n}"), json!("v"))).collect();
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": data});
    let body = body.to_string();
    let mut peak = 0;
    for _ in 0..2 {
        let created = lab.request("POST", MAPS, "application/json", &body).expect("a response");
        assert_eq!(created.status, 201, "{}", created.body);
        peak = peak.max(resident(lab.process));
        let deleted =
            lab.request("DELETE", &format!("{MAPS}/large"), "application/json", "").expect("a response");
        assert_eq!(deleted.status, 200, "{}", deleted.body);
    }
    assert!(
        peak > before + PEAK,
        "the writes took too little to test anything: {before} KiB, then {peak} KiB"
    );
    let bound = before * 5 / 4 + ALLOWANCE;
    let begun = Instant::now();
    while resident(lab.process) > bound {
        let now = resident(lab.process);
        assert!(begun.elapsed() < LONGEST, "{before} KiB before, at most {peak} KiB, still {now} KiB");
        std::thread::sleep(Duration::from_millis(200));
    }
}
