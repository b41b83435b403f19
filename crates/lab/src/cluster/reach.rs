//! Why a cluster cannot be reached: one place that looks whether the lab is stopped, for every command's error.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{sleep, timeout};

use super::provider;
use crate::lab::{self, Env, Record, files};
use meshy_base::error::{self, Advise, AdviseError, Exit};
use meshy_kube::failure::{self, Failure};

/// How long the search for a reason may take after a command has failed: an engine lists its containers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often a wait looks whether the process still runs: it reads a lock and a file below /proc.
const INTERVAL: Duration = Duration::from_secs(1);

/// Refuses to use a lab that is stopped, where that is known without a request.
///
/// # Errors
/// It is stopped.
pub(crate) fn refuse_stopped(lab: &Record) -> anyhow::Result<()> {
    match provider(lab.provider()).stopped_process(lab)? {
        Some(state) => Err(stopped_error(lab, &state, None)),
        None => Ok(()),
    }
}

/// Does work on a lab, and ends it as soon as it is known that the process of the lab's cluster has ended: a watch would
/// try to connect again until the time is over.
///
/// # Errors
/// Those of the work; the process has ended.
pub async fn while_running<T>(env: &Env, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let ended = async {
        loop {
            sleep(INTERVAL).await;
            if let Ok(Some(lab)) = env.used_lab()
                && let Err(error) = refuse_stopped(&lab)
            {
                let log = lab::folder(&lab.name)?.join(files::EMBEDDED_LOG);
                return Err(error).hint(format!("its log is {}", log.display()));
            }
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        ended = ended => ended,
    }
}

/// Returns what is stopped of the lab that a command acts on; none where it runs, or where meshy did not create its cluster.
///
/// # Errors
/// The lab's record or state cannot be read.
pub async fn stopped(env: &Env) -> anyhow::Result<Option<String>> {
    match env.used_lab()? {
        Some(lab) => state(&lab).await,
        None => Ok(None),
    }
}

/// Returns the error of a command with its reason: where the API server failed, the lab may be stopped; else a hint names the
/// context that leads to the server. Other errors are returned as they are.
pub async fn explain(env: &Env, error: anyhow::Error) -> anyhow::Error {
    let Some(failure) = failure::failure(&error) else { return error };
    let exit = match failure {
        Failure::Unreachable { .. } | Failure::Lost { .. } => Exit::Prerequisite,
        Failure::Unexpected { .. } => Exit::Failed,
    };
    let lab = env.used_lab().ok().flatten();
    if let Some(lab) = &lab {
        let patience = TIMEOUT.min(env.remaining().max(Duration::from_millis(100)));
        match timeout(patience, state(lab)).await {
            Ok(Ok(Some(state))) => return stopped_error(lab, &state, Some(&error)),
            // Without its engine nothing of the lab runs.
            Ok(Err(why)) if error::id_of(&why).is_some() => return why.context(failure::plain(&error)),
            _ => {}
        }
    }
    let used = match (&env.context, &lab) {
        (Some(named), _) => format!("context `{named}`"),
        (None, Some(lab)) => format!("context `{}` of lab `{}`", lab.context, lab.name),
        (None, None) => return error,
    };
    let hint = format!("check that the server runs, and that {used} has its address");
    error.hint(hint).id("api-failed").exit(exit)
}

async fn state(lab: &Record) -> anyhow::Result<Option<String>> {
    provider(lab.provider()).stopped(lab).await
}

fn stopped_error(lab: &Record, state: &str, error: Option<&anyhow::Error>) -> anyhow::Error {
    let what = format!("lab `{}` is stopped", lab.name);
    let stopped = match error {
        // The hints of the command's own error would lead elsewhere.
        Some(error) => anyhow!("{}", failure::plain(error)).context(state.to_owned()).context(what),
        None => anyhow!("{state}").context(what),
    };
    let flag = if &*lab.name == "meshy" { String::new() } else { format!(" --name {}", lab.name) };
    let start = format!("`meshy start{flag}` starts it again");
    stopped.hint(start).id("lab-stopped").exit(Exit::Prerequisite)
}
