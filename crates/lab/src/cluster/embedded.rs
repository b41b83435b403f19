//! The embedded cluster in this program: a background process of the same binary.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};
use rustix::fs::OFlags;
use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::time::timeout_at;

use super::{BuiltIn, Part, Spec, kubeconfig, recorded, suspended};
use crate::lab::Env;
use crate::lab::{self, LabName, Record, files};
use meshy_base::error::{self, Advise, Exit};
use meshy_base::exec::bound;
use meshy_base::private;

pub(super) mod process;
pub(super) mod started;

use process::{DISCARD, KEEP, end, running};
use started::{Ready, Started};

/// The hidden command that is the background process.
pub(super) const SERVE: &str = "internal-serve";

/// The name of the program that runs it.
pub(super) const PROGRAM: &str = "meshy";

/// What a lab's status calls the process.
const CLUSTER: &str = "embedded cluster";

/// How much of the end of the log is searched for its last line.
const LOG_TAIL: u64 = 64 << 10;

/// The provider.
#[derive(Clone, Copy, Debug)]
pub struct Embedded;

impl Embedded {
    async fn spawn(self, env: &Env, name: &LabName) -> anyhow::Result<Ready> {
        let log_file = lab::ensure_folder(name)?.join(files::EMBEDDED_LOG);
        let log = files::open(name, files::EMBEDDED_LOG, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)?;
        let log = log.context("the lab's folder is gone")?;
        let logged = log.metadata().map_or(0, |log| log.len());
        let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(&program);
        if cfg!(target_os = "linux") {
            // Until it is ready it ends with this run: one that a killed `up` left would race with the next one's.
            command.arg(bound::WORD).arg(std::process::id().to_string()).arg(&program);
        }
        command.args([SERVE, "--name", name]);
        command.stdin(Stdio::null()).stdout(writer).stderr(log);
        // A separate group: ctrl-C at the terminal ends the command and not the cluster.
        command.process_group(0);
        command.spawn().context("cannot start the embedded cluster's process")?;
        // The writer that this process still holds would keep the pipe open when the other side ends.
        drop(command);
        let reader =
            pipe::Receiver::from_owned_fd(reader.into()).context("cannot read from the new process")?;
        let mut line = String::new();
        let mut reader = BufReader::new(reader);
        let read = timeout_at(env.deadline, reader.read_line(&mut line)).await;
        read.map_err(|_| anyhow!("the embedded cluster was not ready in time")).exit(Exit::Timeout)??;
        let error = if line.is_empty() {
            let said = last_line(&log_file, logged);
            anyhow!("{}", said.unwrap_or_else(|| "its process ended without a message".to_owned()))
        } else {
            match serde_json::from_str(&line).context("cannot understand the new process")? {
                Started::Ready(ready) => return Ok(ready),
                Started::Failed(why) => why.into_error(),
            }
        };
        let failed = Err(error).context("the embedded cluster did not start");
        match failed.as_ref().map_err(error::hints) {
            Err(hints) if !hints.is_empty() => failed,
            _ => failed.hint(format!("its log is {}", log_file.display())),
        }
    }
}

/// Returns whether the cluster's process runs, and its state in words.
fn condition(process: Option<Pid>) -> (bool, String) {
    let Some(pid) = process else { return (false, "not running".to_owned()) };
    let number = pid.as_raw_nonzero();
    if suspended::is_suspended(pid) {
        return (false, format!("suspended: process {number} was stopped by a signal"));
    }
    (true, format!("running as process {number} of meshy, not Kubernetes"))
}

/// Returns the last line that was written to a log after its first `before` bytes.
fn last_line(log: &Path, before: u64) -> Option<String> {
    let mut file = private::open(log, OFlags::RDONLY).ok()?;
    let end = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(before.max(end.saturating_sub(LOG_TAIL)))).ok()?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

impl Embedded {
    pub(super) fn built_in(self) -> BuiltIn {
        BuiltIn { mesh: true, ingress: true, image: true }
    }

    pub(super) fn plan(self, env: &Env, spec: &Spec, known: Option<Record>) -> anyhow::Result<Record> {
        if let Some(mut known) = known {
            if spec.like_linkerd && !known.embedded()?.like_linkerd {
                return Err(anyhow!("lab `{}` was created without `--like-linkerd`", known.name))
                    .hint("`meshy down` deletes it; `--name` creates another lab next to it")
                    .exit(Exit::Usage);
            }
            if spec.programs.is_some() {
                known.embedded_mut()?.programs.clone_from(&spec.programs);
            }
            return Ok(known);
        }
        let name = &env.name;
        let mut record = Record::new(name, lab::Provider::Embedded, format!("embedded-{name}"));
        let embedded = record.embedded_mut()?;
        embedded.like_linkerd = spec.like_linkerd;
        embedded.programs.clone_from(&spec.programs);
        record.kubeconfig = env.kubeconfig.as_deref().map(std::path::absolute).transpose()?;
        Ok(record)
    }

    pub(super) async fn ensure(self, env: &Env, mut record: Record) -> anyhow::Result<Record> {
        let name = record.name.clone();
        let step = env.report.step("Creating", format!("cluster `{name}`"));
        let embedded = record.embedded()?;
        let has_its_programs = embedded.programs == embedded.served_programs;
        let has_its_level = record.proxy_log() == embedded.served_proxy_log.as_deref();
        if let Some(pid) = running(&name)?.map(|process| process.pid)
            && record.made
            && has_its_programs
            && has_its_level
            && kubeconfig::has(record.kubeconfig.as_deref(), &lab::folder(&name)?, &record.context)
        {
            let resumed = suspended::resume(pid).context("cannot resume its process")?;
            step.done(if resumed { "its process was suspended and runs again" } else { "already there" });
            return Ok(record);
        }
        // A process that a killed `up` left has reported its address to no process.
        end(&name, KEEP).await?;
        let again = record.made;
        let ready = self.spawn(env, &name).await?;
        let entries = kubeconfig::Entries::of(&ready.kubeconfig, &record.context)?;
        let folder = lab::folder(&name)?;
        let merged = kubeconfig::merge(record.kubeconfig.as_deref(), &folder, &entries).await;
        if merged.is_err() {
            end(&name, KEEP).await?;
        }
        let merged = merged?;
        merged.report(&env.report);
        if merged.previous.is_some() {
            record.previous_context = merged.previous;
        }
        let proxy_log = record.proxy_log().map(str::to_owned);
        let embedded = record.embedded_mut()?;
        embedded.served_proxy_log = proxy_log;
        embedded.http_port = Some(ready.ingress_port);
        embedded.served_programs.clone_from(&embedded.programs);
        record.made = true;
        record.save()?;
        step.done(match (again, has_its_programs, has_its_level) {
            (false, ..) => "embedded",
            (true, true, true) => "embedded, its process was started again",
            (true, false, _) => "embedded, its process was started again with other programs",
            (true, true, false) => {
                "embedded, its process was started again with another log level of the proxies"
            }
        });
        Ok(record)
    }

    pub(super) fn parts(self, record: &Record) -> anyhow::Result<Vec<Part>> {
        let (ready, state) = condition(running(&record.name)?.map(|process| process.pid));
        Ok(vec![Part { name: CLUSTER.to_owned(), ready, state, address: None }])
    }

    pub(super) fn stopped_process(self, record: &Record) -> anyhow::Result<Option<String>> {
        let (ready, state) = condition(running(&record.name)?.map(|process| process.pid));
        Ok((!ready).then(|| format!("{CLUSTER} is {state}")))
    }

    pub(super) async fn stop(self, env: &Env, record: &Record) -> anyhow::Result<()> {
        let step = env.report.step("Stopping", format!("cluster `{}`", record.name));
        step.done(if end(&record.name, KEEP).await? { "its objects are kept" } else { "it was not running" });
        Ok(())
    }

    pub(super) async fn delete(self, env: &Env, record: &Record) -> anyhow::Result<Vec<String>> {
        let name = &record.name;
        let mut removed = Vec::new();
        let authority = recorded::authority(record);
        if end(name, DISCARD).await? {
            removed.push("the embedded cluster's process".to_owned());
        }
        // Before the kubeconfig: on a full disk this makes the room that its edit needs.
        files::remove_state(name)?;
        removed.extend(recorded::remove_recorded_entries(env, record, authority).await?);
        Ok(removed)
    }
}
