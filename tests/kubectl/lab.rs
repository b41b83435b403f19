//! A separate embedded lab for a test, and the real kubectl pointed at it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::home::Home;

/// The lab, in a temporary home folder; taken down with it.
pub(crate) struct Lab {
    home: Home,
    kubectl: PathBuf,
}

impl Lab {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let testbed = std::env::var_os("MESHY_TESTBED").expect("tests/testbed.sh sets MESHY_TESTBED");
        let unpack = Path::new(&testbed).join("unpack");
        let folder = Command::new(&unpack).output().expect("the testbed's programs are unpacked");
        let folder = String::from_utf8(folder.stdout).expect("a path");
        let kubectl = Path::new(folder.trim()).join("kubectl");
        assert!(kubectl.exists(), "{} is absent", kubectl.display());
        let home = Home::new();
        home.good("up --provider embedded --timeout 2m");
        Self { home, kubectl }
    }

    /// kubectl with these words, in the lab's home.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .args(line.split_whitespace())
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> (Output, String) {
        let output = self.command(line).output().expect("kubectl starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, text)
    }

    /// Runs it to a good end without output on stderr; gives its stdout.
    pub(crate) fn quiet(&self, line: &str) -> String {
        let (output, text) = self.run(line);
        assert!(output.status.success(), "kubectl {line}: {}: {text}", output.status);
        assert_eq!(text, "", "kubectl {line}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs it to its end; gives its status and stdout. `diff` reports by its status.
    pub(crate) fn diff(&self, line: &str) -> (Option<i32>, String) {
        let (output, _) = self.run(line);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it to a bad end; gives what it said.
    pub(crate) fn refused(&self, line: &str) -> String {
        let (output, text) = self.run(line);
        assert!(!output.status.success(), "kubectl {line} was not refused");
        text
    }
}

impl Deref for Lab {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}
