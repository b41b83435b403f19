//! Two runs on one lab at once.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::home::{Home, signal};

/// Looks again and again until something holds, which other processes bring about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn of_two_ups_at_once_the_second_waits_for_the_first_by_name_and_both_end_well() {
    let home = Home::new();
    let first = home.spawn("up --provider embedded");
    let lock = home.lab("meshy").join("lock");
    let signed = || fs::read_to_string(&lock).is_ok_and(|t| t.contains(&format!("{} up", first.id())));
    until("the first takes the lock", signed);
    // Held up in the middle, so that the second comes while it is at work.
    signal(first.id(), Signal::STOP);
    let events = home.path().join("events");
    let mut command = home.command(&format!("up --events {}", events.display()));
    let second = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let holder = format!("`meshy up` (process {})", first.id());
    until("the second says whom it waits for", || {
        fs::read_to_string(&events).is_ok_and(|t| t.contains(&holder))
    });
    signal(first.id(), Signal::CONT);
    for run in [first, second] {
        let output = run.wait_with_output().expect("its end");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(home.processes().len(), 1, "one cluster");
    home.good("down --yes");
}

#[test]
fn a_holder_that_is_killed_lets_the_waiting_run_go_on_at_once() {
    let home = Home::new();
    let mut first = home.spawn("up --provider embedded");
    let lock = home.lab("meshy").join("lock");
    let signed = || fs::read_to_string(&lock).is_ok_and(|t| t.contains(&format!("{} up", first.id())));
    until("the first takes the lock", signed);
    signal(first.id(), Signal::STOP);
    let events = home.path().join("events");
    let text = || fs::read_to_string(&events).unwrap_or_default();
    let mut command = home.command(&format!("up --provider embedded --events {}", events.display()));
    let second = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    until("the second says whom it waits for", || text().contains("`meshy up` (process"));
    let waiting = text().lines().count();
    signal(first.id(), Signal::KILL);
    let killed = Instant::now();
    until("the second goes on", || text().lines().count() > waiting);
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    first.wait().expect("its end");
    let output = second.wait_with_output().expect("its end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(home.processes().len(), 1, "one cluster");
}

#[test]
fn a_run_that_waits_too_long_names_the_holder_and_leaves_the_lab_alone() {
    let home = Home::new();
    home.good("up --provider embedded");
    let file = home.lab("meshy").join("lock");
    let lock = fs::File::options().read(true).write(true).open(&file).expect("the lab's lock");
    lock.lock().expect("no other process holds it");
    fs::write(&file, "4711 deploy").expect("the holder's name");
    let output = home.run("up --timeout 500ms");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{talk}");
    assert!(talk.contains("`meshy deploy` (process 4711) is still at work on lab `meshy`"), "{talk}");
    drop(lock);
    home.good("down --yes");
}

#[test]
fn a_holder_that_has_not_signed_yet_is_not_named_by_an_empty_name() {
    let home = Home::new();
    home.good("up --provider embedded");
    let file = home.lab("meshy").join("lock");
    let lock = fs::File::options().read(true).write(true).open(&file).expect("the lab's lock");
    lock.lock().expect("no other process holds it");
    fs::write(&file, "").expect("no name");
    let output = home.run("up --timeout 300ms");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{talk}");
    assert!(talk.contains("another meshy is still at work on lab `meshy`"), "{talk}");
    drop(lock);
    home.good("down --yes");
}

#[test]
fn concurrent_downs_succeed_and_leave_nothing() {
    let home = Home::new();
    let record = include_str!("../fixtures/lab-c3662c0.json");
    for round in 0..20 {
        // Without a process most of the time is in the files, where the runs meet.
        if round % 5 == 0 {
            home.good("up --provider embedded");
        } else {
            fs::create_dir_all(home.lab("meshy")).expect("a folder");
            fs::write(home.lab("meshy").join("lab.json"), record).expect("a record");
        }
        let spawn = |_| {
            let mut command = home.command("down --yes");
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
        };
        let downs: Vec<_> = (0..4).map(spawn).collect();
        for down in downs {
            let output = down.wait_with_output().expect("its end");
            let talk = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "round {round}: {}: {talk}", output.status);
        }
        assert_eq!(home.processes(), Vec::<u32>::new(), "round {round}: a process is left");
        let left = fs::read_dir(home.lab("meshy"))
            .map(|files| files.flatten().map(|f| f.path()).collect::<Vec<_>>());
        assert!(left.is_err(), "round {round}: {left:?} are left");
    }
}
