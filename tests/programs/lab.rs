//! A lab with programs of this machine.

use std::fs;
use std::process::Output;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;

/// How long a condition is waited for: long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An empty home and what a test needs of the lab in it.
pub(crate) struct Lab(pub(crate) Home);

impl Lab {
    pub(crate) fn new() -> Self {
        Self(Home::new())
    }

    /// Writes a file below the home.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file");
    }

    /// Reads a file below the home as soon as it is there.
    pub(crate) fn read(&self, name: &str) -> String {
        let mut text = String::new();
        wait_until(name, || {
            text = fs::read_to_string(self.0.path().join(name)).unwrap_or_default();
            text.ends_with('\n')
        });
        text
    }

    /// Runs `up` with these words as further arguments, each unsplit.
    pub(crate) fn up(&self, line: &str, words: &[&str]) -> Output {
        let mut command = self.0.command(&format!("up --provider embedded {line}"));
        command.args(words).output().expect("the program starts")
    }

    /// Runs `up`, which must succeed, and returns its document.
    pub(crate) fn good_up(&self, line: &str, words: &[&str]) -> Value {
        let output = self.up(&format!("{line} -o json"), words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < TIMEOUT, "{what}");
        sleep(Duration::from_millis(20));
    }
}

/// A Deployment of one container in namespace `default`; `container` is the rest of its fields, as YAML.
pub(crate) fn deployment(name: &str, image: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec:\n  selector:\n    matchLabels: {{ app: {name} }}\n  \
         template:\n    metadata:\n      labels: {{ app: {name} }}\n      annotations: {{ linkerd.io/inject: enabled }}\n    spec:\n      \
         terminationGracePeriodSeconds: 5\n      containers:\n        - {{ name: app, image: {image}, {container} }}\n"
    )
}
