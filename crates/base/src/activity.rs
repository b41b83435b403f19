//! What the program is waiting for, so that a timeout can name it.
//!
//! Everything that can wait begins an [`Activity`] and drops it when it is done. Entries are in the order of their begin:
//! the first one that is not a step has waited for the longest time, and is what a timeout names.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static REGISTER: Register = Register::new();

/// What an activity depends on; decides the hint of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A server: an API server, a registry, an engine.
    Server,
    /// A file, which may be a pipe without a writer.
    File,
    /// A program that this one has started.
    Program,
    /// This program's own work.
    Work,
    /// A step of a command, which consists of other activities. Named only when there is nothing else.
    Step,
}

/// Something that has begun; ends when dropped.
#[derive(Debug)]
pub struct Activity {
    register: &'static Register,
    id: u64,
}

/// What was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// What it depends on.
    pub kind: Kind,
    /// Completes "timed out while …", for example "reading FILE".
    pub what: String,
    /// For how long.
    pub time: Duration,
}

/// Begins an activity. `what` completes "timed out while …".
pub fn begin(kind: Kind, what: impl Into<String>) -> Activity {
    REGISTER.begin(kind, what.into())
}

/// Begins to read a file.
pub fn reading(file: &Path) -> Activity {
    begin(Kind::File, format!("reading {}", file.display()))
}

/// Begins to write a file.
pub fn writing(file: &Path) -> Activity {
    begin(Kind::File, format!("writing {}", file.display()))
}

/// Returns what has been waited for the longest time; none when nothing is waited for.
pub fn longest() -> Option<Waited> {
    REGISTER.longest()
}

/// Whether a program that was started has not ended yet.
pub fn has_program() -> bool {
    REGISTER.lock().entries.iter().any(|entry| entry.kind == Kind::Program)
}

impl Activity {
    /// Changes what is shown.
    pub fn update(&self, what: impl Into<String>) {
        if let Some(entry) = self.register.lock().entries.iter_mut().find(|entry| entry.id == self.id) {
            entry.what = what.into();
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.register.lock().entries.retain(|entry| entry.id != self.id);
    }
}

#[derive(Debug)]
struct Register(Mutex<Entries>);

#[derive(Debug)]
struct Entries {
    next: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    kind: Kind,
    what: String,
    begun: Instant,
}

impl Register {
    const fn new() -> Self {
        Self(Mutex::new(Entries { next: 0, entries: Vec::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&'static self, kind: Kind, what: String) -> Activity {
        let mut entries = self.lock();
        let id = entries.next;
        entries.next += 1;
        entries.entries.push(Entry { id, kind, what, begun: Instant::now() });
        Activity { register: self, id }
    }

    fn longest(&self) -> Option<Waited> {
        let entries = self.lock();
        let leaf = entries.entries.iter().find(|entry| entry.kind != Kind::Step);
        // Of steps the last one that began is the most precise.
        let found = leaf.or(entries.entries.last())?;
        Some(Waited { kind: found.kind, what: found.what.clone(), time: found.begun.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(register: &Register) -> Option<String> {
        register.longest().map(|waited| waited.what)
    }

    #[test]
    fn the_activity_that_has_waited_for_the_longest_time_is_named_and_a_step_only_without_one() {
        static OWN: Register = Register::new();
        assert_eq!(what(&OWN), None);
        let step = OWN.begin(Kind::Step, "creating a cluster".to_owned());
        assert_eq!(what(&OWN).as_deref(), Some("creating a cluster"));
        let first = OWN.begin(Kind::Server, "waiting for a server".to_owned());
        let _second = OWN.begin(Kind::File, "reading a file".to_owned());
        assert_eq!(what(&OWN).as_deref(), Some("waiting for a server"));
        first.update("waiting for the rest of a response");
        assert_eq!(what(&OWN).as_deref(), Some("waiting for the rest of a response"));
        drop(first);
        assert_eq!(what(&OWN).as_deref(), Some("reading a file"));
        drop(step);
    }
}
