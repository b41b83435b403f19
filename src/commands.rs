//! One file a verb: flags → calls → words.

use crate::cli::Command;
use crate::context::Context;
use crate::error::Exit;

pub mod support_bundle;
pub mod versions;

/// Runs a command; none says what is there and what to do next.
///
/// # Errors
/// The command's own.
pub async fn run(context: &Context, command: Option<Command>) -> anyhow::Result<Exit> {
    let Some(command) = command else {
        return versions::run(context, versions::Args {}).await;
    };
    match command {
        Command::SupportBundle(args) => support_bundle::run(context, args).await,
        Command::Versions(args) => versions::run(context, args).await,
    }
}
