//! A temporary home folder for the real program: nothing of the machine's user is seen or touched.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

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
    /// `MESHY_PROGRAM` is another program than the one that was built with the test: an earlier version, for example.
    pub(crate) fn command(&self, line: &str) -> Command {
        let built = || env!("CARGO_BIN_EXE_meshy").into();
        let mut command = Command::new(std::env::var_os("MESHY_PROGRAM").unwrap_or_else(built));
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

    /// The same through a shell that first does `script`: a limit, a mask, whatever a process inherits.
    pub(crate) fn through_shell(&self, script: &str, line: &str) -> Command {
        let plain = self.command(line);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{script}; exec \"$0\" \"$@\"")])
            .arg(plain.get_program())
            .args(plain.get_args())
            .env_clear()
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(self.path());
        shell
    }

    /// A PATH with a `docker` and a `kind` that do `script` and nothing else, so that only the engine is what it is.
    pub(crate) fn path_with_programs(&self, script: &str) -> String {
        let bin = self.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        for program in ["docker", "kind"] {
            let file = bin.join(program);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a program");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        format!("{}:/usr/bin:/bin", bin.display())
    }

    /// Starts it without waiting, its words thrown away.
    pub(crate) fn spawn(&self, line: &str) -> Child {
        let mut command = self.command(line);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// The processes that belong to this home, found by their environment.
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

/// Sends a signal to a process of the test's; one that has ended meanwhile is none to send it to.
#[allow(dead_code, reason = "each test binary uses its own part")]
pub(crate) fn signal(process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process id");
    let _ = kill_process(pid, signal);
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
