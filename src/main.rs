//! The `meshy` program: parse, log, run, print the error once, end with a documented exit code.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use meshy::cli::{self, Cli, Command, with_candidates};
use meshy::context::Context;
use meshy::{config, ui};
use meshy_base::error::{self, Exit};
use meshy_base::{activity, announce, exec, limit};
use meshy_lab::cluster;
use tokio_util::task::AbortOnDropHandle;

/// How long a full pipe on stderr is waited for when the time of the command is over.
const PRINTING: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let begun = Instant::now();
    if let Some(failure) = exec::bound::run(std::env::args_os()) {
        ui::error::print(&failure);
        return Exit::Failed.into();
    }
    if let Some(outcome) = exec::supervise::run(std::env::args_os()) {
        return match outcome {
            Ok(code) => code.into(),
            Err(failure) => {
                ui::error::print(&failure);
                exec::supervise::CANNOT_RUN.into()
            }
        };
    }
    exec::bound::enable();
    clap_complete::CompleteEnv::with_factory(|| with_candidates(Cli::command())).complete();
    let args: Vec<OsString> = std::env::args_os().collect();
    let outcome = if args.get(1).is_some_and(|word| word == cluster::serve::COMMAND) {
        limit::run_without(run(args, begun))
    } else {
        // Until all flags are known: a meshy.yaml that cannot be read must not be waited for any longer.
        let given = cli::given_timeout(&args);
        limit::set(begun, given.unwrap_or(limit::DEFAULT), given.is_some());
        limit::run(move || run(args, begun))
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            match limit::left() {
                None => ui::error::print(&failure),
                Some(left) => ui::error::print_within(&failure, left.max(PRINTING)),
            }
            error::exit_of(&failure).into()
        }
    }
}

async fn run(args: Vec<OsString>, begun: Instant) -> anyhow::Result<Exit> {
    let reading = activity::begin(activity::Kind::File, format!("reading {}", config::file(&args).display()));
    let args = config::merge(args, &Cli::command())?;
    drop(reading);
    let Cli { global, command } = cli::parse(args).unwrap_or_else(|error| error.exit());
    let serves = matches!(command, Some(Command::InternalServe(_)));
    ui::log::init(global.verbose, global.color.on_stderr(), serves);
    let timeout = global.timeout.unwrap_or_else(|| limit::DEFAULT.saturating_add(planned(command.as_ref())));
    if !matches!(command, Some(Command::InternalServe(_))) {
        limit::set(begun, timeout, global.timeout.is_some());
    }
    let context = Context::new(global, cli::verb(), timeout.saturating_sub(begun.elapsed()))?;
    let _announcing = AbortOnDropHandle::new(tokio::spawn(announce::announce(context.report.clone())));
    match cli::run(&context, command).await.map_err(cluster::engine::as_engine_error) {
        Ok(exit) => Ok(exit),
        Err(error) => Err(cluster::reach::explain(&context, error).await),
    }
}

fn planned(command: Option<&Command>) -> Duration {
    command.map_or(Duration::ZERO, Command::planned)
}
