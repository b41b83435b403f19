//! An experiment on a lab: it ends by itself, by an error, by a signal or at the deadline, and in each case the policies and
//! faults of before are restored.

use std::time::Duration;

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::context::Context;
use crate::run_cluster::RunCluster;
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;
use meshy_policy::policy::{self, Session};

/// How long the restore may take, with the deletion of the namespaces of all variants.
const RESTORE: Duration = Duration::from_secs(60);

const LATER: &str = "`meshy run --restore` restores them";

/// What ends an experiment early.
pub(super) struct Ends {
    interrupted: watch::Receiver<bool>,
    stop: watch::Receiver<bool>,
}

impl Ends {
    /// Listens for SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// Signals cannot be listened for.
    pub(super) fn listen(context: &Context) -> anyhow::Result<Self> {
        let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (interrupt, interrupted) = watch::channel(false);
        let (end, stop) = watch::channel(false);
        let remaining = context.remaining();
        tokio::spawn(async move {
            tokio::select! {
                _ = int.recv() => drop(interrupt.send_replace(true)),
                _ = term.recv() => drop(interrupt.send_replace(true)),
                () = sleep(remaining) => {}
            }
            end.send_replace(true);
            // Kept, so that the receivers see the value and no closed channel.
            tokio::join!(interrupt.closed(), end.closed());
        });
        Ok(Self { interrupted, stop })
    }

    /// Ends of an experiment on the page: a signal, which `interrupted` reports, or a viewer.
    pub(super) fn asked(interrupted: watch::Receiver<bool>, stop: watch::Receiver<bool>) -> Self {
        Self { interrupted, stop }
    }

    /// Turns true at a signal or at the deadline.
    pub(super) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Whether something has ended the experiment early.
    pub(super) fn ended(&self) -> bool {
        *self.stop.borrow()
    }

    /// How a command ends that was ended early.
    ///
    /// # Errors
    /// Time ran out.
    pub(super) fn exit(&self, command: &str) -> anyhow::Result<Exit> {
        if *self.interrupted.borrow() {
            return Ok(Exit::Interrupted);
        }
        Err(anyhow!("`meshy {command}` did not finish in time"))
            .hint("`--timeout` allows it more time")
            .exit(Exit::Timeout)
    }
}

/// Runs an experiment on a cluster, restores what it changed, and closes the cluster.
///
/// # Errors
/// The experiment's; something cannot be restored.
pub(super) async fn on<T>(
    context: &Context,
    run_cluster: RunCluster,
    (command, force): (&str, bool),
    ends: &Ends,
    work: impl AsyncFnOnce(&RunCluster, &mut Session) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let done = match run_cluster.session(context, command, force, ends.stop()).await {
        Err(error) => Err(error),
        Ok(mut session) => {
            let done = context.nearly(work(&run_cluster, &mut session)).await;
            match (restore(context, session, ends).await, done) {
                (Ok(()), done) => done,
                (Err(error), Ok(_)) => Err(error),
                (Err(error), Err(cause)) => {
                    context.report.warn(format!("{cause:#}"));
                    Err(error)
                }
            }
        }
    };
    let closed = run_cluster.close().await;
    let done = done?;
    closed?;
    Ok(done)
}

/// Restores, unless it takes too long or a second signal ends it at once.
async fn restore(context: &Context, session: Session, ends: &Ends) -> anyhow::Result<()> {
    let mut interrupted = ends.interrupted.clone();
    let again = async {
        // The first signal asks for an end of the experiment, and that is what happens now. A new listener receives only later ones.
        let _ = interrupted.wait_for(|interrupted| *interrupted).await;
        let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        anyhow::Ok(())
    };
    tokio::select! {
        restored = timeout(RESTORE, session.restore(&context.report)) => match restored {
            Ok(restored) => restored,
            Err(_) => Err(anyhow!("policies and faults could not be restored in time"))
                .hint(LATER)
                .exit(Exit::Timeout),
        },
        _ = again => Err(anyhow!("interrupted before policies and faults were restored"))
            .hint(LATER)
            .exit(Exit::Interrupted),
    }
}

/// Restores what a killed experiment left on the lab.
///
/// # Errors
/// There is no lab; something cannot be restored.
pub(super) async fn restore_left(context: &Context) -> anyhow::Result<Exit> {
    let kinds = Kinds::new(context.client_for_change("restore policies in").await?);
    if context.dry_run {
        context.report.say("would restore the policies and faults that a killed run left");
    } else if !policy::restore_left(&kinds, &context.report).await? {
        context.report.say("nothing to restore");
    }
    Ok(Exit::Done)
}
