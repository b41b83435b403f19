//! The background process of an embedded lab: holds its lock, runs the cluster, ends on a signal.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use meshy_embedded::{Cluster, Error, Options, Supervisor, parse_log_level};
use rustix::fs::OFlags;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::embedded::SERVE;
use super::embedded::started::{Failed, Ready, Started};
use crate::lab::{self, LabName, files};
use meshy_base::bounded;
use meshy_base::error::Advise;
use meshy_base::exec::{bound, supervise};

/// The name of the hidden command.
pub const COMMAND: &str = SERVE;

/// How long the lock may be held by a run that only looks whether the cluster is there.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs the cluster of lab `name` until SIGTERM or SIGINT. When it is ready, or cannot be, prints one line of JSON on stdout.
///
/// # Errors
/// Another process runs this lab; the cluster cannot start or write its snapshot.
pub async fn serve(name: &LabName) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (cluster, _lock) = match start(name).await {
        Ok(started) => started,
        Err(error) => {
            answer(&Started::Failed(Failed::of(&error)))?;
            return Err(error);
        }
    };
    let ready = Ready { kubeconfig: cluster.kubeconfig(), ingress_port: cluster.ingress_addr().port() };
    // First free, then ready: the process that reads the line may end at once.
    bound::unbind()?;
    answer(&Started::Ready(ready))?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    cluster.stop().await.context("cannot stop the cluster in good order")
}

/// Writes one line for the command that started this process. It may have ended: that is not an error.
fn answer(answer: &Started) -> anyhow::Result<()> {
    let line = format!("{}\n", serde_json::to_string(answer)?);
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Takes the lab's lock and starts its cluster.
async fn start(name: &LabName) -> anyhow::Result<(Cluster, File)> {
    let folder = lab::ensure_folder(name)?;
    let lock = lock(name).await?;
    let known = lab::Record::load(name)?;
    let like_linkerd = known.as_ref().is_some_and(lab::Record::like_linkerd);
    let proxy_log = known.as_ref().and_then(lab::Record::proxy_log).map(parse_log_level).transpose()?;
    let programs = known.as_ref().and_then(lab::Record::programs);
    let programs = programs.map(lab::Programs::local).unwrap_or_default();
    let program = std::env::current_exe().context("cannot find this program")?;
    let supervised = folder.display().to_string();
    // A cluster that was killed together with a supervisor has left what the program has started.
    supervise::end_programs(&supervised);
    let command = |word: &str| vec![program.clone().into(), word.into(), supervised.clone().into()];
    let supervisor =
        Supervisor { command: command(supervise::WORD), end_command: command(supervise::END_WORD) };
    // A lab keeps its ports over a restart: URLs in a terminal's history should go on working.
    let ingress_ports =
        known.as_ref().and_then(lab::Record::http_port).map_or_else(Vec::new, |port| vec![port, 80, 8080, 0]);
    let mut options = Options {
        state_dir: Some(state(&folder)?),
        ingress_ports,
        linkerd_discovery_cache: like_linkerd,
        programs,
        supervisor,
        ..Options::ephemeral(&**name)
    };
    if let Some(level) = proxy_log {
        options.proxy_log = level;
    }
    let cluster = Cluster::start(options).await;
    let unreadable = matches!(cluster, Err(Error::Snapshot { .. } | Error::State { action: "read", .. }));
    let cluster = cluster.context("cannot start the cluster");
    if unreadable {
        let hint = format!(
            "`meshy down --name {name}` removes the lab and its objects, `meshy up --name {name}` creates it again"
        );
        return Ok((cluster.hint(hint)?, lock));
    }
    Ok((cluster?, lock))
}

/// Takes the lock that is held for the cluster's life, and writes this process's number there.
async fn lock(name: &LabName) -> anyhow::Result<File> {
    let lock = files::open(name, files::EMBEDDED_LOCK, OFlags::WRONLY | OFlags::CREATE)?;
    let mut lock = lock.context("the lab's folder is gone")?;
    let begun = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if begun.elapsed() < INTERVAL => {
                sleep(Duration::from_millis(2)).await;
            }
            Err(error) => return Err(error).with_context(|| format!("another process runs lab `{name}`")),
        }
    }
    let sign = |lock: &mut File| {
        lock.set_len(0)?;
        write!(lock, "{}", std::process::id())
    };
    let path = lab::folder(name)?.join(files::EMBEDDED_LOCK);
    sign(&mut lock).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(lock)
}

/// The folder of keys and snapshot, which is the lab's own and not elsewhere.
fn state(folder: &Path) -> anyhow::Result<PathBuf> {
    let state = folder.join(files::EMBEDDED);
    match fs::symlink_metadata(&state) {
        Ok(there) if !there.is_dir() => {
            let is = bounded::kind(&there);
            Err(anyhow!("{} is {is}, expected a folder", state.display()))
                .hint("meshy did not create it: move it away")
        }
        _ => Ok(state),
    }
}
