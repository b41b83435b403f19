//! `meshy versions`: what this program is and what it installs.

use serde::Serialize;

use crate::context::Context;
use meshy_base::error::Exit;

/// `meshy versions` takes no flags of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy versions\n  meshy versions -o json")]
pub struct Args {}

#[derive(Debug, Serialize)]
struct Versions {
    meshy: &'static str,
}

/// Prints the versions.
///
/// # Errors
/// Stdout cannot be written.
pub async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    let versions = Versions { meshy: env!("CARGO_PKG_VERSION") };
    context.data(&versions, |v| format!("meshy {}", v.meshy))?;
    Ok(Exit::Done)
}
