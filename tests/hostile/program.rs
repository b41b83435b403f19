//! Runs of the program with what can be seen from outside: its time, its memory and its words.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::home::signal;
use crate::stalls::Stalls;

/// `--timeout` of the runs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

/// The most memory of a run without the pages of the program's own file, in bytes.
pub(crate) const MOST_MEMORY: u64 = 100_000_000;

/// From here on a run is ended: what it does is known.
const ENOUGH_MEMORY: u64 = 4 * MOST_MEMORY;
const ENOUGH_TIME: Duration = Duration::from_secs(8);

/// How much of each stream is kept, in bytes.
const KEPT: u64 = 1 << 20;

/// How many runs are under way at once.
const AT_ONCE: usize = 6;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// From the start, or from the signal that the test sent.
    pub(crate) took: Duration,
    pub(crate) stalled: Duration,
    /// In bytes.
    pub(crate) memory: u64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end.
pub(crate) fn run(command: Command) -> Ended {
    run_with(command, |_, _| ())
}

/// Runs a program to its end; `during` sees it every few milliseconds with the time since its start.
pub(crate) fn run_with(mut command: Command, mut during: impl FnMut(&Child, Duration)) -> Ended {
    let stalled = Stalls::begin();
    let begun = Instant::now();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let (stdout, stderr) = (keep(child.stdout.take()), keep(child.stderr.take()));
    let own = std::env::current_exe().expect("this program");
    let mut memory = 0;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status;
        }
        // Until it runs the program, it has the memory of the test.
        if fs::read_link(format!("/proc/{}/exe", child.id())).is_ok_and(|exe| exe != own) {
            memory = memory.max(memory_of(child.id()).unwrap_or(0));
        }
        if memory > ENOUGH_MEMORY || begun.elapsed() > ENOUGH_TIME {
            signal(child.id(), Signal::KILL);
        }
        during(&child, begun.elapsed());
        thread::sleep(Duration::from_millis(3));
    };
    let took = begun.elapsed();
    let text = |stream: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&stream.join().expect("no panic")).into_owned()
    };
    Ended { status, took, stalled: stalled.end(), memory, stdout: text(stdout), stderr: text(stderr) }
}

/// Reads a stream to its end and keeps its beginning.
fn keep(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    let mut stream = stream.expect("it is a pipe");
    thread::spawn(move || {
        let mut kept = Vec::new();
        let _ = stream.by_ref().take(KEPT).read_to_end(&mut kept);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        kept
    })
}

/// The most memory that a process had so far without the pages of its program, in bytes.
pub(crate) fn memory_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(value("VmHWM:")?.saturating_sub(value("RssFile:")?) * 1024)
}

impl Ended {
    /// What is bad about any run.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.took > TIMEOUT + Duration::from_millis(500) + self.stalled {
            faults.push(format!("ended after {:.1?} (held up for {:.1?})", self.took, self.stalled));
        }
        if self.memory > MOST_MEMORY {
            faults.push(format!("took {} MB", self.memory / 1_000_000));
        }
        if let Some(signal) = self.status.signal() {
            faults.push(format!("was ended by signal {signal}"));
        }
        if self.status.code() == Some(101) || self.stderr.contains("panicked at") {
            faults.push(format!("panicked: {}", self.stderr));
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if let Some(at) = text.find(is_control) {
                let around: String = text[at..].chars().take(20).collect();
                faults.push(format!("{name} has control characters: {around:?}"));
            }
        }
        faults
    }

    /// What is bad about a run that got something invalid.
    pub(crate) fn faults_of_invalid(&self) -> Vec<String> {
        let mut faults = self.faults();
        match self.status.code() {
            Some(0) => faults.push(format!("ended with 0: {}{}", self.stdout, self.stderr)),
            Some(_) if !self.stderr.contains("error: ") => {
                faults.push(format!("shows no error: {}", self.stderr));
            }
            _ => {}
        }
        faults
    }
}

/// What may move a cursor or reorder text, as far as it can be in the output.
fn is_control(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Does `work` for each item, some at a time.
pub(crate) fn each<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(items.into_iter());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(item) = queue.lock().expect("no panic while held").next() else { return };
                    work(item);
                }
            });
        }
    });
}
