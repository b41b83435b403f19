//! From a parsed command line to the command.

use meshy_base::error::Exit;

use super::Command;
use crate::commands;
use crate::context::Context;

/// Runs a command; without one lists the labs and the next steps.
///
/// # Errors
/// Returns the error of the command.
pub async fn run(context: &Context, command: Option<Command>) -> anyhow::Result<Exit> {
    let Some(command) = command else {
        return commands::overview::run(context).await;
    };
    if may_use_a_cluster(&command) {
        context.check_named()?;
    }
    match command {
        Command::Build(args) => commands::build::run(context, args).await,
        Command::Cluster(args) => commands::cluster::run(context, args).await,
        Command::Completions(args) => commands::completions::run(context, args).await,
        Command::Dashboard(args) => commands::dashboard::run(context, args).await,
        Command::Deploy(args) => commands::deploy::run(context, args).await,
        Command::Down(args) => commands::down::run(context, args).await,
        Command::InternalServe(args) => commands::internal_serve::run(context, args).await,
        Command::Policy(args) => commands::policy::run(context, args).await,
        Command::PortForward(args) => commands::port_forward::run(context, args).await,
        Command::Push(args) => commands::push::run(context, args).await,
        Command::Registry(args) => commands::registry::run(context, args).await,
        Command::Start(args) => commands::start::run(context, args).await,
        Command::Status(args) => commands::status::run(context, args).await,
        Command::Stop(args) => commands::stop::run(context, args).await,
        Command::Demo(args) => commands::demo::run(context, args).await,
        Command::Traffic(args) => commands::traffic::run(context, args).await,
        Command::Fault(args) => commands::fault::run(context, args).await,
        Command::Run(args) => commands::run::run(context, args).await,
        Command::Stat(args) => commands::stat::run(context, args).await,
        Command::Routes(args) => commands::routes::run(context, args).await,
        Command::Graph(args) => commands::graph::run(context, args).await,
        Command::Outcomes(args) => commands::outcomes::run(context, args).await,
        Command::Export(args) => commands::export::run(context, args).await,
        Command::Install(args) => commands::install::run(context, args).await,
        Command::Explain(args) => commands::explain::run(context, args).await,
        Command::Predict(args) => commands::predict::run(context, args).await,
        Command::Sweep(args) => commands::sweep::run(context, args).await,
        Command::Report(args) => commands::report::run(context, args).await,
        Command::Check(args) => commands::check::run(context, args).await,
        Command::Inject(args) => commands::inject::run(context, args).await,
        Command::Lint(args) => commands::lint::run(context, args).await,
        Command::Retry(args) => commands::retry::run(context, args).await,
        Command::Sp(args) => commands::sp::run(context, args).await,
        Command::Split(args) => commands::split::run(context, args).await,
        Command::Up(args) => commands::up::run(context, args).await,
    }
}

/// Whether a wrong `--context` must be reported before anything else happens. Commands that only sometimes connect report it
/// when they do.
fn may_use_a_cluster(command: &Command) -> bool {
    if let Command::Check(args) = command {
        return !args.without_cluster();
    }
    if let Command::Graph(args) = command {
        return !args.without_cluster();
    }
    if let Command::Export(args) = command {
        return !args.without_cluster();
    }
    !matches!(
        command,
        Command::Build(_)
            | Command::Completions(_)
            | Command::Dashboard(_)
            | Command::Explain(_)
            | Command::InternalServe(_)
            | Command::Lint(_)
            | Command::Predict(_)
            | Command::Push(_)
            | Command::Report(_)
            | Command::Run(_)
    )
}
