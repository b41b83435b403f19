//! One file a verb: flags → calls → words.

use crate::cli::Command;
use crate::context::Context;
use crate::error::Exit;

pub mod certs;
pub mod check;
pub mod images;
pub mod inject;
pub mod lint;
mod proof;
pub mod retry;
pub mod sp;
pub mod split;
pub mod support_bundle;
pub mod uninject;
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
        Command::Certs(args) => certs::run(context, args).await,
        Command::Check(args) => check::run(context, args).await,
        Command::Images(args) => images::run(context, args).await,
        Command::Inject(args) => inject::run(context, args).await,
        Command::Lint(args) => lint::run(context, args).await,
        Command::Retry(args) => retry::run(context, args).await,
        Command::Sp(args) => sp::run(context, args).await,
        Command::Split(args) => split::run(context, args).await,
        Command::Uninject(args) => uninject::run(context, args).await,
        Command::Versions(args) => versions::run(context, args).await,
    }
}
