//! One file a verb: flags → calls → words.

use crate::cli::Command;
use crate::context::Context;
use meshy_base::error::Exit;

pub mod build;
pub mod certs;
pub mod check;
pub mod cluster;
pub mod compare;
pub mod completions;
pub mod demo;
pub mod deploy;
pub mod doctor;
pub mod down;
mod experiment;
pub mod explain;
pub mod outcomes;
pub mod fault;
pub mod files;
mod gate;
pub mod images;
pub mod inject;
pub mod internal_serve;
pub mod lint;
pub mod overview;
pub mod port_forward;
pub mod predict;
mod proof;
pub mod push;
pub mod registry;
pub mod report;
pub mod retry;
pub mod routes;
pub mod runs;
#[cfg(test)]
mod schemas;
pub mod sp;
pub mod split;
pub mod start;
pub mod stat;
pub mod status;
pub mod stop;
pub mod support_bundle;
pub mod sweep;
mod target;
mod toggle;
pub mod traffic;
pub mod undeploy;
pub mod uninject;
pub mod up;
pub mod versions;

/// Runs a command; none says what is there and what to do next.
///
/// # Errors
/// The command's own.
pub async fn run(context: &Context, command: Option<Command>) -> anyhow::Result<Exit> {
    let Some(command) = command else {
        return overview::run(context).await;
    };
    if may_use_a_cluster(&command) {
        context.check_named()?;
    }
    match command {
        Command::Build(args) => build::run(context, args).await,
        Command::Cluster(args) => cluster::run(context, args).await,
        Command::Completions(args) => completions::run(context, args).await,
        Command::Deploy(args) => deploy::run(context, args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Down(args) => down::run(context, args).await,
        Command::Files(args) => files::run(context, args).await,
        Command::InternalServe(args) => internal_serve::run(context, args).await,
        Command::PortForward(args) => port_forward::run(context, args).await,
        Command::Push(args) => push::run(context, args).await,
        Command::Registry(args) => registry::run(context, args).await,
        Command::Start(args) => start::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Stop(args) => stop::run(context, args).await,
        Command::Demo(args) => demo::run(context, args).await,
        Command::Traffic(args) => traffic::run(context, args).await,
        Command::Fault(args) => fault::run(context, args).await,
        Command::Stat(args) => stat::run(context, args).await,
        Command::Routes(args) => routes::run(context, args).await,
        Command::Outcomes(args) => outcomes::run(context, args).await,
        Command::Explain(args) => explain::run(context, args).await,
        Command::Predict(args) => predict::run(context, args).await,
        Command::Sweep(args) => sweep::run(context, args).await,
        Command::Report(args) => report::run(context, args).await,
        Command::Compare(args) => compare::run(context, args).await,
        Command::Runs(args) => runs::run(context, args).await,
        Command::SupportBundle(args) => support_bundle::run(context, args).await,
        Command::Certs(args) => certs::run(context, args).await,
        Command::Check(args) => check::run(context, args).await,
        Command::Images(args) => images::run(context, args).await,
        Command::Inject(args) => inject::run(context, args).await,
        Command::Lint(args) => lint::run(context, args).await,
        Command::Retry(args) => retry::run(context, args).await,
        Command::Sp(args) => sp::run(context, args).await,
        Command::Split(args) => split::run(context, args).await,
        Command::Undeploy(args) => undeploy::run(context, args).await,
        Command::Uninject(args) => uninject::run(context, args).await,
        Command::Up(args) => up::run(context, args).await,
        Command::Versions(args) => versions::run(context, args).await,
    }
}

/// Whether a wrong `--context` must be reported before anything else happens. Commands that only sometimes connect report it
/// when they do.
fn may_use_a_cluster(command: &Command) -> bool {
    !matches!(
        command,
        Command::Build(_)
            | Command::Compare(_)
            | Command::Completions(_)
            | Command::Doctor(_)
            | Command::Explain(_)
            | Command::Files(_)
            | Command::Images(_)
            | Command::InternalServe(_)
            | Command::Lint(_)
            | Command::Predict(_)
            | Command::Push(_)
            | Command::Report(_)
            | Command::Runs(_)
            | Command::Versions(_)
    )
}
