//! A home folder of its own for the real program: nothing of the machine's user is seen or touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The folder; the labs in it end with it.
pub(crate) struct Home(tempfile::TempDir);

#[allow(dead_code, reason = "each test binary uses its own part")]
impl Home {
    /// An empty home.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The kubeconfig that the program takes for the user's.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path().join(".kube/config")
    }

    /// The state folder of lab `name`.
    pub(crate) fn lab(&self, name: &str) -> PathBuf {
        self.path().join(".local/state/meshy/labs").join(name)
    }

    /// The program with these words, in this home and nothing else of the environment but PATH. No engine answers.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshy"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("DOCKER_HOST", "unix:///nonexistent.sock")
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the program starts")
    }

    /// Runs it to its end, which must be a good one; gives what it wrote to stdout.
    pub(crate) fn good(&self, line: &str) -> String {
        let output = self.run(line);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`meshy {line}` ended with {}:\n{talk}", output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    /// Starts it without waiting, its words thrown away.
    pub(crate) fn spawn(&self, line: &str) -> Child {
        let mut command = self.command(line);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// The processes that belong to this home, told by their environment.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let ours = format!("HOME={}", self.path().display());
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environment.split(|b| *b == 0).any(|variable| variable == ours.as_bytes())
            })
            .collect()
    }
}

impl Drop for Home {
    /// A test that failed half way must not leave its cluster running.
    fn drop(&mut self) {
        let labs = fs::read_dir(self.path().join(".local/state/meshy/labs"));
        for lab in labs.into_iter().flatten().flatten() {
            let name = lab.file_name();
            self.run(&format!("down --yes --name {}", name.to_string_lossy()));
        }
    }
}
