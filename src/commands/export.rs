//! `meshy export`: files for other programs and for changes.

mod prometheus;

use std::path::PathBuf;

use crate::context::Context;
use meshy_base::error::{Advise, Exit};
use meshy_lab::files;

/// The flags of `meshy export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy export files mine\n  meshy export files --list\n  meshy export prometheus ./prometheus"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write the files that meshy ships below a folder
    #[command(after_help = "Examples:\n  meshy export files .\n  meshy export files --list -o json")]
    Files {
        /// The folder; files in it with other contents are never overwritten
        #[arg(required_unless_present = "list")]
        folder: Option<PathBuf>,
        /// List the files
        #[arg(long, conflicts_with = "folder")]
        list: bool,
    },
    /// Print how a Prometheus on this machine scrapes the proxies
    Prometheus(prometheus::Args),
}

impl Args {
    pub(crate) fn without_cluster(&self) -> bool {
        matches!(self.what, What::Files { .. })
    }
}

/// Lists or writes files.
///
/// # Errors
/// A file would be overwritten or cannot be written; there is no lab to scrape.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    match args.what {
        What::Files { folder, .. } => shipped(context, folder),
        What::Prometheus(args) => prometheus::run(context, args).await,
    }
}

fn shipped(context: &Context, folder: Option<PathBuf>) -> anyhow::Result<Exit> {
    let names: Vec<String> = files::all().into_iter().map(|(path, _)| path.display().to_string()).collect();
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
