//! The stand-in inside this program: a background process of the same binary.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::time::{timeout, timeout_at};

use super::{BuiltIn, Part, Provider, Spec, kubeconfig, suspended};
use crate::context::Context;
use crate::error::{Advise, Exit};
use crate::exec::leash;
use crate::lab::{self, Record};
use crate::private;

/// The hidden command that is the background process.
pub(super) const SERVE: &str = "internal-serve";

/// What a lab's status calls the process.
const CLUSTER: &str = "embedded cluster";

/// How long a process may take to end in good order before it is killed: its snapshot is written in milliseconds.
const GRACE: Duration = Duration::from_secs(10);

/// How long a process may hold its lock without having written its number there.
const SIGNING: Duration = Duration::from_secs(1);

/// The lock that the background process holds for life: whether it runs is asked of the kernel and not of a file with a number.
pub(super) const LOCK: &str = "embedded.lock";

/// What the process writes to its log.
pub(super) const LOG: &str = "embedded.log";

/// What the background process says when it is ready, in one line on its stdout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ready {
    /// A kubeconfig for the cluster.
    pub(super) kubeconfig: String,
    /// Where its ingress listens.
    pub(super) ingress_port: u16,
}

/// The provider.
pub(super) struct Embedded;

impl Embedded {
    async fn spawn(&self, context: &Context, name: &str) -> anyhow::Result<Ready> {
        let folder = lab::folder(name)?;
        private::ensure_folder(&folder)?;
        let log_file = folder.join(LOG);
        let log = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&log_file);
        let log = log.with_context(|| format!("cannot open {}", log_file.display()))?;
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(&program);
        if cfg!(target_os = "linux") {
            // Until it is ready it ends with this run: one that a killed `up` left would race with the next one's.
            command.arg(leash::WORD).arg(std::process::id().to_string()).arg(&program);
        }
        command.args([SERVE, "--name", name]);
        command.stdin(Stdio::null()).stdout(writer).stderr(log);
        // A group of its own: ctrl-C at the terminal ends the command and not the cluster.
        command.process_group(0);
        command.spawn().context("cannot start the embedded cluster's process")?;
        // The writer that this process still holds would keep the pipe open when the other side ends.
        drop(command);
        let reader =
            pipe::Receiver::from_owned_fd(reader.into()).context("cannot read from the new process")?;
        let mut line = String::new();
        let mut reader = BufReader::new(reader);
        let read = timeout_at(context.deadline, reader.read_line(&mut line)).await;
        read.map_err(|_| anyhow!("the embedded cluster was not ready in time")).exit(Exit::Timeout)??;
        if line.is_empty() {
            let last = last_line(&log_file);
            return Err(anyhow!("{last}"))
                .context("the embedded cluster did not start")
                .hint(format!("its log is {}", log_file.display()));
        }
        serde_json::from_str(&line).context("cannot understand the new process")
    }
}

/// The number of the running process; none when none runs.
fn running(name: &str) -> anyhow::Result<Option<Pid>> {
    let path = lab::folder(name)?.join(LOCK);
    let Ok(file) = File::open(&path) else { return Ok(None) };
    let begun = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot look at {}", path.display()));
            }
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        match text.trim().parse().ok().and_then(Pid::from_raw) {
            Some(pid) => return Ok(Some(pid)),
            // Between its lock and its number lie microseconds, unless it is being killed right there.
            None if begun.elapsed() < SIGNING => std::thread::sleep(Duration::from_millis(1)),
            None => return Err(anyhow!("{} is locked and names no process", path.display())),
        }
    }
}

/// Ends the background process and waits until the kernel says that it is gone. Says whether there was one.
async fn end(name: &str) -> anyhow::Result<bool> {
    let Some(pid) = running(name)? else { return Ok(false) };
    for signal in [Signal::TERM, Signal::KILL] {
        let _ = kill_process(pid, signal);
        // One that was stopped handles no signal but KILL before it goes on.
        let _ = kill_process(pid, Signal::CONT);
        let path = lab::folder(name)?.join(LOCK);
        let gone = tokio::task::spawn_blocking(move || File::open(path).and_then(|f| f.lock_shared()));
        if timeout(GRACE, gone).await.is_ok() {
            return Ok(true);
        }
    }
    Err(anyhow!("process {} of the embedded cluster does not end", pid.as_raw_nonzero()))
}

/// Whether the cluster's process runs, and its state in words.
fn condition(process: Option<Pid>) -> (bool, String) {
    let Some(pid) = process else { return (false, "not running".to_owned()) };
    let number = pid.as_raw_nonzero();
    if suspended::is_suspended(pid) {
        return (false, format!("suspended: process {number} was stopped by a signal"));
    }
    (true, format!("running as process {number}; a stand-in, not Kubernetes"))
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it ended without a word").to_owned()
}

fn own_kubeconfig(name: &str) -> anyhow::Result<PathBuf> {
    Ok(lab::folder(name)?.join("kubeconfig"))
}

impl Provider for Embedded {
    fn built_in(&self) -> BuiltIn {
        BuiltIn { mesh: true, ingress: true, image: true }
    }

    fn plan<'a>(
        &'a self,
        context: &'a Context,
        spec: &'a Spec,
        known: Option<Record>,
    ) -> BoxFuture<'a, anyhow::Result<Record>> {
        Box::pin(async move {
            if let Some(known) = known {
                if spec.like_linkerd && !known.like_linkerd {
                    return Err(anyhow!("lab `{}` was made without `--like-linkerd`", known.name))
                        .hint("`meshy down` takes it away; `--name` makes another one beside it")
                        .exit(Exit::Usage);
                }
                return Ok(known);
            }
            let name = &context.global.name;
            let mut record = Record::new(name, lab::Provider::Embedded, format!("embedded-{name}"));
            record.like_linkerd = spec.like_linkerd;
            record.kubeconfig = context.global.kubeconfig.as_deref().map(std::path::absolute).transpose()?;
            Ok(record)
        })
    }

    fn ensure<'a>(
        &'a self,
        context: &'a Context,
        mut record: Record,
    ) -> BoxFuture<'a, anyhow::Result<Record>> {
        Box::pin(async move {
            let name = record.name.clone();
            let step = context.report.step("Creating", format!("cluster `{name}`"));
            if let Some(pid) = running(&name)?
                && record.made
                && kubeconfig::has(record.kubeconfig.as_deref(), &lab::folder(&name)?, &record.context)
            {
                let resumed = suspended::resume(pid).context("cannot resume its process")?;
                step.done(if resumed { "its process was suspended and runs again" } else { "already there" });
                return Ok(record);
            }
            // A process that a killed `up` left has told its address to nobody.
            end(&name).await?;
            let again = record.made;
            let ready = self.spawn(context, &name).await?;
            let entries = kubeconfig::Entries::of(&ready.kubeconfig, &record.context)?;
            let folder = lab::folder(&name)?;
            let merged = kubeconfig::merge(record.kubeconfig.as_deref(), &folder, &entries).await;
            if merged.is_err() {
                end(&name).await?;
            }
            let merged = merged?;
            merged.report(&context.report);
            if merged.previous.is_some() {
                record.previous_context = merged.previous;
            }
            record.http_port = Some(ready.ingress_port);
            record.made = true;
            record.save()?;
            step.done(if again { "embedded, its process was gone and is started again" } else { "embedded" });
            Ok(record)
        })
    }

    fn look<'a>(
        &'a self,
        _context: &'a Context,
        record: &'a Record,
    ) -> BoxFuture<'a, anyhow::Result<Vec<Part>>> {
        Box::pin(async move {
            let (well, state) = condition(running(&record.name)?);
            Ok(vec![Part { name: CLUSTER.to_owned(), well, state, address: None }])
        })
    }

    fn stopped_process(&self, record: &Record) -> anyhow::Result<Option<String>> {
        let (well, state) = condition(running(&record.name)?);
        Ok((!well).then(|| format!("{CLUSTER} is {state}")))
    }

    fn start<'a>(&'a self, context: &'a Context, record: Record) -> BoxFuture<'a, anyhow::Result<Record>> {
        self.ensure(context, record)
    }

    fn stop<'a>(&'a self, context: &'a Context, record: &'a Record) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let step = context.report.step("Stopping", format!("cluster `{}`", record.name));
            step.done(if end(&record.name).await? { "its objects are kept" } else { "it was not running" });
            Ok(())
        })
    }

    fn delete<'a>(
        &'a self,
        context: &'a Context,
        record: &'a Record,
    ) -> BoxFuture<'a, anyhow::Result<Vec<String>>> {
        Box::pin(async move {
            let name = &record.name;
            let mut removed = Vec::new();
            if end(name).await? {
                removed.push("the embedded cluster's process".to_owned());
            }
            let folder = lab::folder(name)?;
            let out = kubeconfig::remove(record.kubeconfig.as_deref(), &folder, &record.context).await?;
            out.report(&context.report);
            removed.extend(out.lines());
            let _ = fs::remove_file(own_kubeconfig(name)?);
            Ok(removed)
        })
    }
}
