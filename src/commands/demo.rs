//! `meshy demo`: the scenario `retries`.

use std::path::PathBuf;
use std::time::Duration;

use super::run;
use crate::context::Context;
use meshy_base::error::Exit;

/// How long the demo takes at most by its flags: on a real Linkerd some minutes pass until all clients follow.
pub(crate) const LENGTH: Duration = Duration::from_secs(600);

/// The flags of `meshy demo`, with the meaning that they have for `meshy run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy demo\n  meshy demo --fast\n  meshy demo --present")]
pub struct Args {
    /// Run the short form (20 s) on a new embedded cluster
    #[arg(long, conflicts_with = "keep")]
    fast: bool,
    /// Wait for a key before each step, on an empty screen
    #[arg(long)]
    present: bool,
    /// Without a lab, first create an embedded lab and keep it
    #[arg(long)]
    keep: bool,
    /// With --fast: run on the existing lab, and restore its policies and faults at the end
    #[arg(long, requires = "fast")]
    on_lab: bool,
    /// Take over policy fields that other tools own, and give them back at the end
    #[arg(long)]
    force: bool,
    /// Allow its faults on a cluster that meshy did not create
    #[arg(long)]
    allow_storm: bool,
    /// Only restore the policies and faults that a killed run changed
    #[arg(long, conflicts_with_all = ["fast", "present", "keep", "like_linkerd", "on_lab", "force"])]
    restore: bool,
    /// On a new embedded cluster: clients use a new profile only after 5 s without requests, as on a real Linkerd
    #[arg(long, env = "MESHY_LIKE_LINKERD", hide_env = true)]
    like_linkerd: bool,
    /// Conditions that must be met, else exit code 5 (docs/scenarios.md); may be repeated
    #[arg(long, value_name = "CONDITIONS")]
    expect: Vec<String>,
    /// Append the result to a file, as Markdown
    #[arg(long, env = "GITHUB_STEP_SUMMARY", hide_env = true, value_name = "FILE")]
    summary: Option<PathBuf>,
}

/// Runs the demo.
///
/// # Errors
/// As [`run::run`].
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let args = run::Args {
        scenario: Some("retries".to_owned()),
        fast: args.fast,
        present: args.present,
        keep: args.keep,
        on_lab: args.on_lab,
        force: args.force,
        allow_storm: args.allow_storm,
        restore: args.restore,
        like_linkerd: args.like_linkerd,
        expect: args.expect,
        summary: args.summary,
        ..run::Args::default()
    };
    run::run(context, args).await
}
