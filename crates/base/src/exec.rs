//! Other programs: run to their end with their output, and ended with meshy.

use std::ffi::OsString;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

use crate::activity::{self, Kind};
use crate::error::{Advise, Exit};

pub mod bound;
pub mod children;
pub mod supervise;

/// The longest output of a program that is read, in bytes; `kind version` and credential plugins print less than 1 MiB.
const LARGEST_OUTPUT: u64 = 16 << 20;

/// A program to run.
#[derive(Debug)]
pub struct Program {
    name: String,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    input: Option<String>,
}

/// Why a program's run gave nothing.
#[derive(Debug)]
pub struct Failure {
    /// What it printed on stderr (and stdout), trimmed.
    pub said: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Failure {}

impl Program {
    /// A program by its name in `PATH`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), args: Vec::new(), env: Vec::new(), input: None }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Gives it a text on its stdin.
    #[must_use]
    pub fn input(mut self, text: String) -> Self {
        self.input = Some(text);
        self
    }

    /// Runs it to its end and gives its stdout.
    ///
    /// # Errors
    /// It is not there ([`Exit::Prerequisite`]), failed ([`Failure`] with its output), or time ran out (it is killed then).
    pub async fn run(self, deadline: Instant) -> anyhow::Result<String> {
        let mut command = self.command()?;
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        // Not `kill_on_drop`: it leaves behind what the program has started. `Tree` ends both.
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        let name = &self.name;
        tracing::debug!(?command, "run");
        let _waiting = activity::begin(Kind::Program, format!("waiting for `{}` to end", self.line()));
        let mut child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
        let stdin = child.stdin.take();
        let tree = children::Tree::of(child.id());
        let output = async {
            if let (Some(mut stdin), Some(text)) = (stdin, &self.input) {
                // A program that ends before it has read all says more by its status than the broken pipe does.
                let _ = stdin.write_all(text.as_bytes()).await;
            }
            bounded_output(&mut child).await
        };
        let output = timeout_at(deadline, output).await;
        let output = output.map_err(|_| anyhow!("`{name}` did not end in time"));
        let output = output.hint("`--timeout` sets how long a command may take").exit(Exit::Timeout)?;
        let output = output.with_context(|| format!("cannot read the output of `{name}`"))?;
        tree.ended();
        result(name, output)
    }

    /// Its name and first words, for messages.
    fn line(&self) -> String {
        let words = self.args.iter().take(2).map(|word| word.to_string_lossy());
        std::iter::once((&*self.name).into()).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// On Linux through meshy itself, which lets the kernel end it with its parent before it becomes the program: a
    /// `kill -9` of meshy must not leave a program at work on the same lab.
    fn command(&self) -> anyhow::Result<Command> {
        let found = find(&self.name).ok_or_else(|| anyhow!("there is no program `{}` in PATH", self.name));
        let found = found.exit(Exit::Prerequisite)?;
        let mut command = match std::env::current_exe() {
            Ok(meshy) if cfg!(target_os = "linux") && bound::is_enabled() => {
                let mut command = Command::new(meshy);
                command.arg(bound::WORD).arg(std::process::id().to_string()).arg(found);
                command
            }
            _ => Command::new(found),
        };
        command.args(&self.args);
        Ok(command)
    }
}

fn result(name: &str, output: Output) -> anyhow::Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = format!("{}\n{}", stderr.trim(), stdout.trim()).trim().to_owned();
    let said = if said.is_empty() { output.status.to_string() } else { said };
    Err(Failure { said }).with_context(|| format!("`{name}` failed"))
}

/// Waits for the end of a program and returns its output; fails as soon as one of its streams is longer than [`LARGEST_OUTPUT`].
async fn bounded_output(child: &mut Child) -> io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::try_join!(bounded(stdout), bounded(stderr), child.wait())?;
    Ok(Output { status, stdout, stderr })
}

async fn bounded(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else { return Ok(bytes) };
    stream.take(LARGEST_OUTPUT + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > LARGEST_OUTPUT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "its output is larger than 16 MiB"));
    }
    Ok(bytes)
}

/// Returns where a program is.
pub fn find(name: &str) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    candidates
        .into_iter()
        .find(|file| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

/// The first line a program prints, for its version.
///
/// # Errors
/// The program cannot be started, fails, or does not end in time.
pub async fn first_line(name: &str, args: &[&str], patience: Duration) -> anyhow::Result<String> {
    let text = Program::new(name).args(args.iter().copied()).run(Instant::now() + patience).await?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_with_endless_output_is_ended_and_fails() {
        let run = Program::new("yes").run(Instant::now() + Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(run.root_cause().to_string(), "its output is larger than 16 MiB");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_program_that_is_out_of_time_is_ended_with_what_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let run = Program::new("sh").args(["-c", &script]).run(Instant::now() + Duration::from_secs(60));
        let started = async {
            loop {
                match std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i32>().ok()) {
                    Some(pid) => return pid,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        // Dropped in the middle, as by a timeout or ctrl-C.
        let sleeper = tokio::select! {
            ended = run => panic!("{ended:?}"),
            pid = started => pid,
        };
        let state = || std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
        let begun = Instant::now();
        while !state().is_empty() && !state().contains(") Z") {
            assert!(begun.elapsed() < Duration::from_secs(10), "the process lives: {}", state());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
