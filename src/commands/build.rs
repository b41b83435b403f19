//! `meshy build`: an overlay as YAML, byte for byte the objects that kustomize would print.

use serde_json::Value;

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::overlay;

/// The flags of `meshy build`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy build minimal-service\n  meshy build ./my-overlay | kubectl diff -f -"
)]
pub struct Args {
    /// An overlay: a bare name is one that meshy ships, a path a folder
    #[arg(value_name = "OVERLAY")]
    overlay: String,
}

/// Prints the overlay.
///
/// # Errors
/// It does not build.
#[allow(clippy::unused_async, reason = "every command is asked the same way")]
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let output = overlay::build(&args.overlay)?;
    for warning in &output.warnings {
        context.report.warn(warning);
    }
    context.data::<Vec<Value>>(&output.objects, |_| output.to_yaml())?;
    Ok(Exit::Done)
}
