//! `meshy files`: what meshy ships, to look at and to change.

use std::path::PathBuf;

use crate::context::Context;
use meshy_base::error::{Advise, Exit};
use meshy_lab::files;

/// The flags of `meshy files`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy files export mine\n  meshy files list")]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Write all shipped files below a folder
    #[command(after_help = "Examples:\n  meshy files export .\n  meshy files export mine --dry-run")]
    Export {
        /// The folder; files in it that differ are never overwritten
        folder: PathBuf,
    },
    /// List the shipped files
    #[command(after_help = "Examples:\n  meshy files list\n  meshy files list -o json")]
    List,
}

/// Lists or writes the shipped files.
///
/// # Errors
/// A file would be overwritten or cannot be written.
#[allow(clippy::unused_async, reason = "every command is asked the same way")]
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let names: Vec<String> = files::all().into_iter().map(|(path, _)| path.display().to_string()).collect();
    match args.act {
        Act::Export { folder } if context.dry_run => {
            context.report.say(format!("would write {} files below {}", names.len(), folder.display()));
        }
        Act::Export { folder } => {
            let written = files::export(&folder);
            let written = written.hint("name another folder; nothing was written").exit(Exit::Usage)?;
            context.data(&names, |_| format!("{written} files below {}", folder.display()))?;
        }
        Act::List => context.data(&names, |all| all.join("\n"))?,
    }
    Ok(Exit::Done)
}
