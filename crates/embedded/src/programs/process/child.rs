//! The process of a program: started by the supervisor, its output in the container's log.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Supervisor;
use crate::logs::Log;
use crate::program::{Env, ExitCode};

/// The request for SIGTERM on the supervisor's stdin.
const TERMINATE: &[u8] = b"T";

/// The longest line of a log; a longer one is cut into several.
const LONGEST_LINE: usize = 16 * 1024;

/// How long the rest of the output is read after the process has ended.
const REST: Duration = Duration::from_secs(2);

/// What is started.
pub(super) struct Command {
    pub(super) words: Vec<OsString>,
    pub(super) env: Env,
    pub(super) folder: PathBuf,
}

/// A process that runs. Dropping it closes the supervisor's stdin, which kills the process and all that it has started.
pub(super) struct Running {
    child: Child,
    stdin: ChildStdin,
    output: JoinSet<()>,
}

impl Command {
    /// Starts the process.
    ///
    /// # Errors
    /// The supervisor cannot be started.
    pub(super) fn spawn(self, supervisor: &Supervisor, log: &Arc<Log>) -> io::Result<Running> {
        let mut words = supervisor.command.iter().chain(&self.words);
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        let mut command = tokio::process::Command::new(words.next().ok_or_else(missing)?);
        command.args(words).env_clear().envs(&self.env).current_dir(&self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let mut output = JoinSet::new();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        stdout.map(|stream| output.spawn(copy(stream, log.clone())));
        stderr.map(|stream| output.spawn(copy(stream, log.clone())));
        Ok(Running { child, stdin, output })
    }
}

impl Running {
    /// Waits for the end of the process and returns its exit code. Passes a request to exit on as SIGTERM.
    pub(super) async fn wait(
        mut self,
        supervisor: &Supervisor,
        request: impl Future<Output = ()>,
    ) -> ExitCode {
        let pid = self.child.id();
        let mut request = pin!(request);
        let mut requested = false;
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status,
                () = &mut request, if !requested => {
                    requested = true;
                    // A supervisor that has ended needs no request.
                    let _ = self.stdin.write_all(TERMINATE).await;
                    let _ = self.stdin.flush().await;
                }
            }
        };
        if status.as_ref().is_ok_and(|status| status.signal().is_some()) {
            supervisor.end_rest(pid).await;
        }
        let rest = async { while self.output.join_next().await.is_some() {} };
        let _ = timeout(REST, rest).await;
        status.map_or(1, exit_code)
    }
}

impl Supervisor {
    /// Ends what a program has started whose supervisor was killed: the kernel ends the program alone.
    async fn end_rest(&self, pid: Option<u32>) {
        let (Some((program, args)), Some(pid)) = (self.end_command.split_first(), pid) else { return };
        let ended = tokio::process::Command::new(program).args(args).arg(pid.to_string()).status().await;
        if let Err(error) = ended {
            tracing::warn!(pid, %error, "cannot end what a program has started");
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| ExitCode::try_from(code).ok()).unwrap_or(1)
}

/// Copies a stream into a log, line by line.
async fn copy(mut stream: impl AsyncRead + Unpin, log: Arc<Log>) {
    let mut buffer = vec![0; 8192];
    let mut line = Vec::new();
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        for byte in &buffer[..count] {
            if *byte == b'\n' {
                write(&mut line, &log);
            } else {
                line.push(*byte);
                if line.len() >= LONGEST_LINE {
                    write(&mut line, &log);
                }
            }
        }
    }
    if !line.is_empty() {
        write(&mut line, &log);
    }
}

fn write(line: &mut Vec<u8>, log: &Log) {
    let text = String::from_utf8_lossy(line);
    log.write(text.strip_suffix('\r').unwrap_or(&text).to_owned());
    line.clear();
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, copy};
    use crate::logs::{Log, LogQuery};

    #[tokio::test]
    async fn output_is_cut_into_lines_of_bounded_length() {
        let log = Log::new();
        let text = format!("first\r\n{}\nlast", "x".repeat(LONGEST_LINE + 1));
        copy(text.as_bytes(), log.clone()).await;
        log.end();
        let mut chunks = log.read(LogQuery::default());
        let mut lines = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            lines.extend(chunk.lines().map(str::len).collect::<Vec<_>>());
        }
        assert_eq!(lines, [5, LONGEST_LINE, 1, 4]);
    }
}
