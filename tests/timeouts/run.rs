//! Runs of the program with a clock.

use std::collections::VecDeque;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::commands::needs_the_api;
pub(crate) use crate::stalls::Stalls;

/// When a run must have ended.
const LATEST: Duration = Duration::from_millis(2_500);

/// From here on a run was ended by its time and not by itself.
const BY_TIME: Duration = Duration::from_millis(1_500);

/// The pause between two starts. A start takes some 30 ms of a core's time in a debug build.
pub(crate) const PAUSE: Duration = Duration::from_millis(60);

/// More than this a busy machine is not forgiven.
const MOST_STALLED: Duration = Duration::from_secs(1);

/// How many runs of one test are under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// The line with a timeout of 2 s. It is the first word: after `retry apply` the flag is the policy's.
pub(crate) fn timed(line: &str) -> String {
    format!("--timeout 2s {line}")
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) line: String,
    pub(crate) status: ExitStatus,
    pub(crate) took: Duration,
    /// How much of that time the machine had no core for a process that was to run.
    pub(crate) stalled: Duration,
    pub(crate) stderr: String,
}

impl Ended {
    /// The exit code; none when a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Starts a program when it is its turn and waits for its end.
pub(crate) fn run(line: &str, mut command: Command) -> Ended {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let stalled = Stalls::begin();
    let (begun, child) = {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().expect("no panic while held");
        // A pause, not a wait for something: it spreads the starts.
        thread::sleep(PAUSE);
        let begun = Instant::now();
        let child = command.spawn().expect("the program starts");
        drop(turn);
        (begun, child)
    };
    let output = child.wait_with_output().expect("its end");
    let (took, stalled) = (begun.elapsed(), stalled.end().min(MOST_STALLED));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ended { line: line.to_owned(), status: output.status, took, stalled, stderr }
}

/// Runs all lines, [`AT_ONCE`] at the same time; each worker has its own `W`.
pub(crate) fn run_all<W: Sync>(
    workers: &[W],
    lines: &[&str],
    command: impl Fn(&W, &str) -> Command + Sync,
) -> Vec<Ended> {
    let queue: Mutex<VecDeque<&str>> = Mutex::new(lines.iter().copied().collect());
    let next = || queue.lock().expect("no panic while held").pop_front();
    let work = |worker: &W| {
        let mut ended = Vec::new();
        while let Some(line) = next() {
            ended.push(run(line, command(worker, line)));
        }
        ended
    };
    thread::scope(|scope| {
        let threads: Vec<_> = workers.iter().map(|worker| scope.spawn(|| work(worker))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Holds every run to its time: it ended within 2.5 s without a panic, and one that its time has ended has exit code 4 and
/// names one of `names`. Prints the slowest run.
pub(crate) fn evaluate(test: &str, ended: &[Ended], names: &[&str]) {
    hold(test, ended, |run| fault(run, names).or_else(|| wrong_end(run)));
}

/// The same for a cluster that responds: what a command has done until its time is over can be its result.
pub(crate) fn evaluate_with_a_cluster(test: &str, ended: &[Ended], names: &[&str]) {
    hold(test, ended, |run| fault(run, names));
}

fn hold(test: &str, ended: &[Ended], fault: impl Fn(&Ended) -> Option<String>) {
    let faults: Vec<String> = ended.iter().filter_map(|run| Some((run, fault(run)?))).map(text_of).collect();
    let by_time = ended.iter().filter(|run| run.code() == Some(4)).count();
    let stalled = ended.iter().map(|run| run.stalled).max().unwrap_or_default();
    let slowest = ended.iter().max_by_key(|run| run.took).expect("there are runs");
    eprintln!(
        "{test}: {} runs, {by_time} ended by their time, the slowest after {:.2} s: `{}`; held up for at most {:.2} s",
        ended.len(),
        slowest.took.as_secs_f64(),
        slowest.line,
        stalled.as_secs_f64()
    );
    assert!(faults.is_empty(), "{test}, {} of {} runs:\n{}", faults.len(), ended.len(), faults.join("\n"));
}

fn text_of((run, fault): (&Ended, String)) -> String {
    let (line, code, took) = (&run.line, run.code(), run.took);
    format!("`meshy {line}` {fault} (exit code {code:?} after {took:.2?}):\n{}", run.stderr)
}

fn fault(run: &Ended, names: &[&str]) -> Option<String> {
    // A command that has something else to do may be in the middle of that.
    let other =
        !needs_the_api(&run.line) && [" while ", "in time"].iter().any(|word| run.stderr.contains(word));
    let names_it = || other || names.iter().any(|name| run.stderr.contains(name));
    match run.code() {
        _ if run.took > LATEST + run.stalled => Some(format!("is late (held up for {:.2?})", run.stalled)),
        None => Some(format!("was ended by a signal: {}", run.status)),
        Some(101) => Some("panicked".to_owned()),
        _ if run.stderr.contains("panicked at") => Some("panicked".to_owned()),
        Some(4) if !names_it() => Some(format!("does not name any of {names:?}")),
        _ => None,
    }
}

fn wrong_end(run: &Ended) -> Option<String> {
    // They tell what they have found out until then: as a table, or in an archive.
    let reports = ["status", "check"].iter().any(|name| run.line.starts_with(name));
    if run.code() == Some(4) && !run.stderr.contains("hint: ") {
        return Some("has no hint".to_owned());
    }
    let wrong = run.took > BY_TIME && run.code() != Some(4) && !reports && needs_the_api(&run.line);
    wrong.then(|| "was ended by its time with another status".to_owned())
}
