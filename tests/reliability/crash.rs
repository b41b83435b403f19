//! Killed at any moment: the next run completes or removes what is there.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::home::{Home, signal};

/// How many moments a test attempts: a few in each run of the suite, as many as one likes by hand.
fn moments() -> u32 {
    std::env::var("MESHY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6)
}

/// Moments spread evenly over `whole` with a seeded offset, so that each run of the suite sees others.
fn spread(whole: Duration) -> impl Iterator<Item = Duration> {
    let seed = std::env::var("MESHY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(std::process::id);
    eprintln!("MESHY_SEED={seed}");
    let count = moments();
    let offset = f64::from(seed % 1000) / 1000.0;
    (0..count).map(move |i| whole.mul_f64((f64::from(i) + offset) / f64::from(count)))
}

/// How long a whole run of `line` takes here and now.
fn length(home: &Home, line: &str) -> Duration {
    let begun = Instant::now();
    home.good(line);
    begun.elapsed()
}

/// Sends a signal to a run of `line` after `moment`; gives how it ended and how long the end took.
fn strike(home: &Home, line: &str, moment: Duration, with: Signal) -> (Option<i32>, Duration) {
    let mut child = home.spawn(line);
    // The moment is the test's subject; nothing is waited for here.
    std::thread::sleep(moment);
    let struck = Instant::now();
    signal(child.id(), with);
    let status = child.wait().expect("its end");
    (status.code().or_else(|| status.signal().map(|s| 128 + s)), struck.elapsed())
}

fn gone(home: &Home) {
    assert_eq!(home.processes(), Vec::<u32>::new(), "processes are left");
    assert!(!home.lab("meshy").exists(), "state is left");
    let kubeconfig = std::fs::read_to_string(home.kubeconfig()).unwrap_or_default();
    assert!(!kubeconfig.contains("embedded-meshy"), "{kubeconfig}");
}

#[test]
fn an_up_killed_at_any_moment_is_completed_by_the_next_one() {
    let home = Home::new();
    let whole = length(&home, "up --provider embedded");
    home.good("down --yes");
    for moment in spread(whole) {
        strike(&home, "up --provider embedded", moment, Signal::KILL);
        home.good("up --provider embedded");
        assert_eq!(home.processes().len(), 1, "one cluster after a kill at {moment:?}");
        let status: serde_json::Value =
            serde_json::from_str(&home.good("status -o json")).expect("one document");
        let services = status["services"].as_array().expect("services");
        assert!(services.len() >= 2, "{status}");
        assert!(services.iter().all(|s| s["ready"] == s["wanted"]), "{status}");
        home.good("down --yes");
        gone(&home);
    }
}

#[test]
fn a_down_killed_at_any_moment_is_completed_by_the_next_one() {
    let home = Home::new();
    home.good("up --provider embedded");
    let whole = length(&home, "down --yes");
    for moment in spread(whole) {
        home.good("up --provider embedded");
        strike(&home, "down --yes", moment, Signal::KILL);
        home.good("down --yes");
        gone(&home);
    }
}

#[test]
fn an_up_ended_by_a_signal_ends_soon_and_is_gone_on_with() {
    let home = Home::new();
    let whole = length(&home, "up --provider embedded");
    for (signal, moment) in [Signal::INT, Signal::TERM, Signal::HUP].into_iter().zip(spread(whole)) {
        home.good("down --yes");
        let (code, took) = strike(&home, "up --provider embedded", moment, signal);
        assert!(took < Duration::from_secs(2), "{signal:?} took {took:?}");
        assert!(code == Some(0) || code == Some(128 + signal.as_raw()), "{signal:?}: {code:?}");
        home.good("up --provider embedded");
        assert_eq!(home.processes().len(), 1);
    }
    home.good("down --yes");
    gone(&home);
}

#[test]
fn a_lab_whose_process_was_killed_is_rebuilt_by_the_next_up() {
    let home = Home::new();
    home.good("up --provider embedded");
    let [cluster] = home.processes()[..] else { panic!("one process") };
    signal(cluster, Signal::KILL);
    let output = home.run("up");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    assert!(talk.contains("started again"), "{talk}");
    home.good("down --yes");
    gone(&home);
}
