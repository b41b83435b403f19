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
    /// List the certificates and how long they hold
    Certs(commands::certs::Args),
    /// Look at the health of cluster, control plane, certificates and proxies
    Check(commands::check::Args),
    /// List the images that a cluster must be able to pull
    Images(commands::images::Args),
    /// Put proxies into workloads and prove it
    Inject(commands::inject::Args),
    /// Find what is accepted and still does not do what it says
    Lint(commands::lint::Args),
    /// Switch retries on and off by annotations, the newer dialect
    Retry(commands::retry::Args),
    /// Switch a ServiceProfile on and off and prove that it is in force
    Sp(commands::sp::Args),
    /// Split a service's traffic by weight
    Split(commands::split::Args),
    /// Write one redacted archive of what is needed to tell what went wrong
    SupportBundle(commands::support_bundle::Args),
    /// Take proxies out of workloads
    Uninject(commands::uninject::Args),
    /// Print the version of meshy and of what it installs
    Versions(commands::versions::Args),
}
