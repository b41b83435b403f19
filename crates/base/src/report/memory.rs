//! A report that is kept in memory, for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::{Progress, Report, Sink};

/// Keeps the lines of a report in memory. Clones share the lines.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<String>>);

#[derive(Debug)]
struct Line {
    memory: Memory,
    begun: String,
}

impl Memory {
    /// Returns a report that writes into this memory.
    pub fn report(&self) -> Report {
        Report::new(self.clone())
    }

    /// Returns the lines so far.
    pub fn text(&self) -> String {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Memory {
    fn line(&self, text: &str) {
        let mut lines = self.lock();
        lines.push_str(text);
        lines.push('\n');
    }

    fn warning(&self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    fn event(&self, _event: &Value) {}

    fn begin(&self, verb: &str, thing: &str) -> Box<dyn Progress> {
        Box::new(Line { memory: self.clone(), begun: format!("{verb} {thing}") })
    }
}

impl Progress for Line {
    fn waiting(&self, _reason: &str) {}

    fn end(&mut self, result: &str, _took: Duration) {
        self.memory.line(&format!("{} {result}", self.begun));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_shows_its_verb_its_object_and_its_result() {
        let memory = Memory::default();
        let report = memory.report();
        report.step("Ensuring", "registry `private-registry`").done("already there");
        drop(report.step("Creating", "cluster `meshy`"));
        let text = memory.text();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            ["Ensuring registry `private-registry` already there", "Creating cluster `meshy` stopped"]
        );
    }
}
