//! `meshy export`: files for other programs and for changes.

use std::path::PathBuf;

use crate::context::Context;
use meshy_base::error::{Advise, Exit};
use meshy_lab::files;

/// The flags of `meshy export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy export files mine\n  meshy export files --list")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write the files that meshy ships below a folder
    #[command(after_help = "Examples:\n  meshy export files .\n  meshy export files --list -o json")]
    Files {
        /// The folder; files in it that differ are never overwritten
        #[arg(required_unless_present = "list")]
        folder: Option<PathBuf>,
        /// List the files
        #[arg(long, conflicts_with = "folder")]
        list: bool,
    },
}

/// Lists or writes the shipped files.
///
/// # Errors
/// A file would be overwritten or cannot be written.
#[allow(clippy::unused_async, reason = "every command is called the same way")]
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let names: Vec<String> = files::all().into_iter().map(|(path, _)| path.display().to_string()).collect();
    let What::Files { folder, .. } = args.what;
    let Some(folder) = folder else {
        context.data(&names, |all| all.join("\n"))?;
        return Ok(Exit::Done);
    };
    if context.dry_run {
        context.report.say(format!("would write {} files below {}", names.len(), folder.display()));
        return Ok(Exit::Done);
    }
    let written = files::export(&folder);
    let written = written.hint("name another folder; nothing was written").exit(Exit::Usage)?;
    context.data(&names, |_| format!("{written} files below {}", folder.display()))?;
    Ok(Exit::Done)
}
