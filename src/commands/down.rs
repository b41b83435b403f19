//! `meshy down`: takes away everything that the lab made, and proves it.

use serde::Serialize;

use crate::cluster::{self, remains};
use crate::context::Context;
use meshy_base::error::Exit;
use crate::lab::{self, LabName, Record, files};

/// How many files that meshy did not make are named.
const NAMED: usize = 20;

/// The flags of `meshy down`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy down\n  meshy down --name lab2 --dry-run")]
pub struct Args {}

#[derive(Debug, Serialize)]
struct Down {
    lab: LabName,
    removed: Vec<String>,
    /// Files in the lab's folder that meshy did not make.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<String>,
    /// What cannot be known without the lab's record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
}

/// Removes the lab.
///
/// # Errors
/// Something cannot be removed; the record stays then, and so does the way to try again.
pub async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    let name = &context.name;
    let mut down = Down { lab: name.clone(), removed: Vec::new(), kept: Vec::new(), unknown: Vec::new() };
    if lab::exists(name)? {
        if context.dry_run {
            return dry_run(context).await;
        }
        files::clear_locks(name)?;
        let _lock = lab::lock(context).await?;
        remove(context, &mut down).await?;
    }
    context.data(&down, text)?;
    Ok(Exit::Done)
}

/// Removes what there is of a lab whose lock is held.
async fn remove(context: &Context, down: &mut Down) -> anyhow::Result<()> {
    let name = &context.name;
    let record = Record::load(name);
    // Without record and cluster there is the lock at most: another `down` was first, or an `up` was killed early.
    let is_lab = !matches!(record, Ok(None)) || files::has_state(name)?;
    if is_lab {
        let step = context.report.step("Removing", format!("lab `{name}`"));
        if let Err(error) = remove_cluster(context, record, down).await {
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
    context: &Context,
    record: anyhow::Result<Option<Record>>,
    down: &mut Down,
) -> anyhow::Result<()> {
    let why = match record {
        Ok(Some(record)) => {
            down.removed = cluster::provider(record.provider).delete(context, &record).await?;
            return Ok(());
        }
        Ok(None) => format!("lab `{}` has no record", down.lab),
        Err(error) => format!("{error:#}"),
    };
    context.report.warn(format!("{why}; what its name leads to is removed"));
    let remains = remains::remove(context, &down.lab).await?;
    (down.removed, down.unknown) = (remains.removed, remains.unknown);
    Ok(())
}

async fn dry_run(context: &Context) -> anyhow::Result<Exit> {
    let name = &context.name;
    match Record::load(name) {
        Ok(Some(record)) => {
            for thing in cluster::provider(record.provider).would_delete(context, &record).await? {
                context.report.say(format!("would remove {thing}"));
            }
        }
        Ok(None) => {}
        Err(error) => context.report.warn(format!("{error:#}; would remove what its name leads to")),
    }
    context.report.say(format!("would remove the files of meshy in {}", lab::folder(name)?.display()));
    Ok(Exit::Done)
}

fn text(down: &Down) -> String {
    let mut text = String::new();
    let mut list = |word: &str, lines: &[String]| {
        lines.iter().take(NAMED).for_each(|line| text.push_str(&format!("{word} {line}\n")));
        if lines.len() > NAMED {
            text.push_str(&format!("{word} {} more\n", lines.len() - NAMED));
        }
    };
    list("removed", &down.removed);
    list("kept, as meshy did not create it:", &down.kept);
    list("unknown:", &down.unknown);
    if text.is_empty() { format!("there is no lab `{}`; nothing to remove", down.lab) } else { text }
}
