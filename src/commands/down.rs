//! `meshy down`: takes away everything that the lab made, and proves it.

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use crate::cluster;
use crate::context::Context;
use crate::error::Exit;
use crate::lab;

/// The flags of `meshy down`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy down\n  meshy down --name lab2 --dry-run")]
pub struct Args {}

#[derive(Debug, Serialize)]
struct Down {
    lab: String,
    removed: Vec<String>,
}

/// Removes the lab.
///
/// # Errors
/// Something cannot be removed; the record stays then, and so does the way to try again.
pub async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    let name = context.global.name.clone();
    if context.lab()?.is_none() {
        // A run that was killed before its record leaves an empty folder at most.
        if !context.global.dry_run {
            let _ = fs::remove_dir_all(lab::folder(&name)?);
        }
        let down = Down { lab: name, removed: Vec::new() };
        context.data(&down, |d| format!("there is no lab `{}`; nothing to remove", d.lab))?;
        return Ok(Exit::Done);
    }
    if context.global.dry_run {
        let record = cluster::lab(context)?;
        for thing in cluster::provider(record.provider).would_delete(context, &record).await? {
            context.report.say(format!("would remove {thing}"));
        }
        return Ok(Exit::Done);
    }
    let _lock = lab::lock(context).await?;
    let record = cluster::lab(context)?;
    let step = context.report.step("Removing", format!("lab `{name}`"));
    let removed = cluster::provider(record.provider).delete(context, &record).await;
    let mut removed = match removed {
        Ok(removed) => removed,
        Err(error) => {
            step.failed();
            return Err(error);
        }
    };
    let folder = lab::folder(&name)?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    // Empty ones go with it; others' labs keep theirs.
    let _ = folder.parent().map(fs::remove_dir);
    removed.push(format!("state folder {}", folder.display()));
    step.done(format!("{} things", removed.len()));
    let down = Down { lab: name, removed };
    context.data(&down, |d| d.removed.iter().map(|r| format!("removed {r}\n")).collect())?;
    Ok(Exit::Done)
}
