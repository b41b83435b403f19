//! `--timeout`: the time after which the program ends, whatever it is doing.
//!
//! The command runs on a separate thread, and the main thread waits for it or for the end of the time. So also a command
//! that is blocked in a system call, or computes without a pause, ends in time. A command that can end its own wait with a
//! better message does so at its deadline, which comes earlier by [`grace`].

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use tokio::sync::oneshot;

use crate::activity::{self, Kind, Waited};
use crate::error::{AdviseError, Exit};
use crate::exec::children;

/// How long a command may take that was not given `--timeout`. Where it sends load or watches for a given time, that time
/// is added.
pub const DEFAULT: Duration = Duration::from_secs(600);

/// How long a command that is out of time may take to clean up what needs no waiting.
const CANCEL: Duration = Duration::from_millis(100);

/// The stack of the command's thread in bytes, as large as a main thread's: documents can be nested.
const STACK: usize = 8 << 20;

static LIMIT: Limit = Limit { state: Mutex::new(State::UNLIMITED), changed: Condvar::new() };

struct Limit {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct State {
    due: Option<Instant>,
    timeout: Duration,
    given: bool,
    ended: bool,
}

impl State {
    const UNLIMITED: Self = Self { due: None, timeout: Duration::MAX, given: false, ended: false };
}

/// Sets when the program ends: `timeout` after `begun`. `given`: the user has requested it.
pub fn set(begun: Instant, timeout: Duration, given: bool) {
    LIMIT.change(|state| {
        (state.due, state.timeout, state.given) = (begun.checked_add(timeout), timeout, given);
    });
}

/// From now on the command runs until the user ends it, unless the user has set the time.
pub fn lift() {
    LIMIT.change(|state| state.due = state.due.filter(|_| state.given));
}

/// Whether the program ends by itself at some time.
pub fn is_set() -> bool {
    LIMIT.lock().due.is_some()
}

/// What is left until the program ends, less what its end takes; none when it runs until it is ended.
pub fn left() -> Option<Duration> {
    let due = LIMIT.lock().due?;
    Some(due.saturating_duration_since(Instant::now()).saturating_sub(CANCEL))
}

/// How much earlier than the program a command ends its own waits: time enough to report what it waited for and to clean up.
pub fn grace(timeout: Duration) -> Duration {
    (timeout / 10).min(Duration::from_secs(5))
}

/// The error of a command that is out of time: names what was waited for.
pub fn timed_out(waited: Option<&Waited>) -> anyhow::Error {
    error(LIMIT.lock().timeout, waited)
}

/// Runs a command to its end or to the end of its time.
///
/// # Errors
/// The command's; time ran out, and what was waited for.
///
/// # Panics
/// As the command.
pub fn run<F>(command: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<Exit>
where
    F: Future<Output = anyhow::Result<Exit>>,
{
    let (cancel, cancelled) = oneshot::channel();
    let work = move || {
        let _ended = Ended;
        let runtime = runtime()?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                biased;
                outcome = command() => Some(outcome),
                Ok(()) = cancelled => None,
            }
        });
        // A blocking read (a terminal's key, a pipe) must not keep the thread alive after its work is done.
        runtime.shutdown_background();
        anyhow::Ok(outcome)
    };
    let thread = thread::Builder::new().name("command".to_owned()).stack_size(STACK).spawn(work);
    let thread = thread.context("cannot start a thread")?;
    let in_time = LIMIT.wait(None);
    let waited = if in_time { None } else { activity::longest() };
    if !in_time {
        // Drops what the command holds. Where it is blocked, the end of the process does.
        let _ = cancel.send(());
        LIMIT.wait(Some(CANCEL));
    }
    let ended = LIMIT.lock().ended;
    let outcome = match ended.then(|| thread.join()) {
        None => None,
        Some(Ok(outcome)) => outcome?,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
    };
    if outcome.is_none() || activity::has_program() {
        children::end();
    }
    outcome.unwrap_or_else(|| Err(timed_out(waited.as_ref())))
}

/// Runs a command without a limit on this thread: the process of a lab's cluster, which unbinds itself from its parent by a
/// call that counts for the calling thread alone, and was bound on the main thread.
///
/// # Errors
/// The command's.
pub fn run_without(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")
}

/// Marks the end of the command, also by a panic.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        LIMIT.change(|state| state.ended = true);
    }
}

impl Limit {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until the command has ended, and returns whether it has; at most until its time is over, or for `most`.
    fn wait(&self, most: Option<Duration>) -> bool {
        let until = most.map(|most| Instant::now() + most);
        let mut state = self.lock();
        while !state.ended {
            state = match until.or(state.due) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

fn error(timeout: Duration, waited: Option<&Waited>) -> anyhow::Error {
    let text = match waited {
        Some(waited) => anyhow!("timed out after {} while {}", in_words(timeout), waited.what),
        None => anyhow!("timed out after {}", in_words(timeout)),
    };
    let longer = "`--timeout` sets how long a command may take";
    let hint = match waited.map(|waited| waited.kind) {
        Some(Kind::Server) => format!("check that the server runs (`meshy status` shows the lab); {longer}"),
        Some(Kind::File) => format!("check whether it is a pipe without another end; {longer}"),
        Some(Kind::Program) => format!("run the program by itself to see what it waits for; {longer}"),
        Some(Kind::Work | Kind::Step) | None => longer.to_owned(),
    };
    text.hint(hint).id("timed-out").exit(Exit::Timeout)
}

/// A duration as a person writes it: `500 ms`, `2 s`, `10 min`.
fn in_words(time: Duration) -> String {
    let (secs, millis) = (time.as_secs(), time.subsec_millis());
    match (secs, millis) {
        (0, _) => format!("{millis} ms"),
        (60.., 0) if secs % 60 == 0 => format!("{} min", secs / 60),
        (_, 0) => format!("{secs} s"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{exit_of, hints};

    #[test]
    fn a_timeout_names_what_was_waited_for_and_has_one_hint() {
        let waited = |kind, what: &str| Waited { kind, what: what.to_owned(), time: Duration::ZERO };
        for (kind, what) in [
            (Kind::Server, "waiting for the registry localhost:5001 to respond"),
            (Kind::File, "reading pipe.yaml"),
            (Kind::Program, "waiting for `kind version` to end"),
            (Kind::Work, "building overlay `web`"),
            (Kind::Step, "creating cluster `meshy`"),
        ] {
            let error = error(Duration::from_secs(2), Some(&waited(kind, what)));
            assert_eq!(error.to_string(), format!("timed out after 2 s while {what}"));
            assert_eq!((exit_of(&error), hints(&error).len()), (Exit::Timeout, 1), "{what}");
        }
        assert_eq!(error(Duration::from_secs(600), None).to_string(), "timed out after 10 min");
    }

    #[test]
    fn a_duration_is_written_with_the_unit_that_fits() {
        let words = [500, 1_000, 1_500, 90_000, 120_000].map(|ms| in_words(Duration::from_millis(ms)));
        assert_eq!(words, ["500 ms", "1 s", "1.5 s", "90 s", "2 min"]);
    }

    #[test]
    fn a_commands_own_waits_end_a_little_before_the_program() {
        let grace = [500, 2_000, 600_000].map(|ms| grace(Duration::from_millis(ms)).as_millis());
        assert_eq!(grace, [50, 200, 5_000]);
    }
}
