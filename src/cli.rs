//! The command line: global flags and one variant per verb. Each verb's own flags stand beside its code.

use clap::{Parser, Subcommand};

use crate::commands;

mod global;

pub use global::{Color, Global, Output, ProviderChoice, duration};

/// A resilience lab for service meshes.
///
/// Brings up a cluster with a mesh, deploys a service that fails on purpose, switches retries on and shows with
/// numbers what that did to each request, what it cost and why.
#[derive(Debug, Parser)]
#[command(
    name = "meshy",
    version,
    propagate_version = true,
    infer_subcommands = false,
    subcommand_required = false
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do; without it meshy says what is there and what to do next.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write one redacted archive of what is needed to tell what went wrong
    SupportBundle(commands::support_bundle::Args),
    /// Print the version of meshy and of what it installs
    Versions(commands::versions::Args),
}
