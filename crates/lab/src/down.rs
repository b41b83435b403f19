//! Removes a lab: its cluster, registry, kubeconfig entries and state.

use serde::Serialize;

use crate::cluster::{self, leftovers};
use crate::lab::{self, Env, LabName, Record, files};

/// What `down` did.
#[derive(Debug, Serialize)]
pub struct Down {
    /// The lab.
    pub lab: LabName,
    /// What was removed.
    pub removed: Vec<String>,
    /// Files in the lab's folder that meshy did not create.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// What cannot be known without the lab's record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// Removes the lab of this environment; in a dry run reports what would be removed.
///
/// # Errors
/// Returns an error if something cannot be removed. The record stays then, so that another `down` can go on.
pub async fn down(env: &Env) -> anyhow::Result<Option<Down>> {
    let name = &env.name;
    let mut down = Down { lab: name.clone(), removed: Vec::new(), kept: Vec::new(), unknown: Vec::new() };
    if lab::exists(name)? {
        if env.dry_run {
            dry_run(env).await?;
            return Ok(None);
        }
        files::clear_locks(name)?;
        let _lock = lab::lock(env).await?;
        remove(env, &mut down).await?;
    }
    Ok(Some(down))
}

/// Removes what there is of a lab whose lock is held.
async fn remove(env: &Env, down: &mut Down) -> anyhow::Result<()> {
    let name = &env.name;
    let record = Record::load(name);
    // Without record and cluster there is the lock at most: another `down` was first, or an `up` was killed early.
    let is_lab = !matches!(record, Ok(None)) || files::has_state(name)?;
    if is_lab {
        let step = env.report.step("Removing", format!("lab `{name}`"));
        if let Err(error) = remove_cluster(env, record, down).await {
            step.failed();
            return Err(error);
        }
        files::remove_state(name)?;
        files::remove_record(name)?;
        step.done(format!("{} things", down.removed.len() + 1));
    }
    let kept = files::foreign(name)?;
    lab::remove_empty(name);
    if is_lab && kept.is_empty() {
        down.removed.push(format!("state folder {}", lab::folder(name)?.display()));
    }
    down.kept = kept.iter().map(|file| file.display().to_string()).collect();
    Ok(())
}

async fn remove_cluster(
    env: &Env,
    record: anyhow::Result<Option<Record>>,
    down: &mut Down,
) -> anyhow::Result<()> {
    let why = match record {
        Ok(Some(record)) => {
            down.removed = cluster::provider(record.provider()).delete(env, &record).await?;
            return Ok(());
        }
        Ok(None) => format!("lab `{}` has no record", down.lab),
        Err(error) => format!("{error:#}"),
    };
    env.report.warn(format!("{why}; everything under its name is removed"));
    let left = leftovers::remove(env, &down.lab).await?;
    (down.removed, down.unknown) = (left.removed, left.unknown);
    Ok(())
}

async fn dry_run(env: &Env) -> anyhow::Result<()> {
    let name = &env.name;
    match Record::load(name) {
        Ok(Some(record)) => {
            for thing in cluster::provider(record.provider()).would_delete(env, &record).await? {
                env.report.say(format!("would remove {thing}"));
            }
        }
        Ok(None) => {}
        Err(error) => env.report.warn(format!("{error:#}; would remove everything under its name")),
    }
    env.report.say(format!("would remove the files of meshy in {}", lab::folder(name)?.display()));
    Ok(())
}
