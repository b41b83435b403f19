//! The background process of an embedded lab: holds its lock, runs the cluster, ends on a signal.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::Context as _;
use meshy_embedded::{Cluster, Options};
use tokio::signal::unix::{SignalKind, signal};

use super::embedded::{LOCK, Ready, SERVE};
use crate::exec::leash;
use crate::lab;
use crate::private;

/// The name of the hidden command.
pub const COMMAND: &str = SERVE;

/// Runs the cluster of lab `name` until SIGTERM or SIGINT. When it is ready, prints one line of JSON on stdout.
///
/// # Errors
/// Another process runs this lab; the cluster cannot start or write its snapshot.
pub async fn serve(name: &str) -> anyhow::Result<()> {
    let folder = lab::folder(name)?;
    private::ensure_folder(&folder)?;
    let path = folder.join(LOCK);
    let mut options = fs::OpenOptions::new();
    let lock = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
    lock.try_lock().with_context(|| format!("another process runs lab `{name}`"))?;
    lock.set_len(0)?;
    write!(lock, "{}", std::process::id())?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let known = lab::Record::load(name)?;
    let like_linkerd = known.as_ref().is_some_and(|r| r.like_linkerd);
    // A lab keeps its ports over a restart: URLs in a terminal's history should go on working.
    let ingress_ports = known.and_then(|r| r.http_port).map_or_else(Vec::new, |port| vec![port, 80, 8080, 0]);
    let options = Options {
        state_dir: Some(folder.join("embedded")),
        ingress_ports,
        linkerd_discovery_cache: like_linkerd,
        ..Options::ephemeral(name)
    };
    let cluster = Cluster::start(options).await.context("cannot start the cluster")?;
    let ready = Ready { kubeconfig: cluster.kubeconfig(), ingress_port: cluster.ingress_addr().port() };
    // First free, then ready: whoever reads the line may end at once.
    leash::slip()?;
    crate::ui::data(&serde_json::to_string(&ready)?)?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    cluster.stop().await.context("cannot stop the cluster in good order")
}
