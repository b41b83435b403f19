//! The `meshy` program: parse, log, run, print the error once, end with a documented exit status.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use meshy::cli::{Cli, spelling, with_candidates};
use meshy::context::Context;
use meshy::error::Exit;
use meshy::{cluster, commands, config, error, exec, ui};

fn main() -> ExitCode {
    if let Some(failure) = exec::leash::run(std::env::args_os()) {
        error::print(&failure);
        return Exit::Failed.into();
    }
    clap_complete::CompleteEnv::with_factory(|| with_candidates(Cli::command())).complete();
    let args = spelling::plain(std::env::args_os().collect());
    let cli = match config::merge(args, &Cli::command()) {
        Ok(args) => Cli::parse_from(args),
        Err(failure) => {
            error::print(&failure);
            return error::exit_of(&failure).into();
        }
    };
    ui::log::init(cli.global.verbose, cli.global.color.on_stderr());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(cause) => {
            error::print(&anyhow::Error::new(cause).context("cannot start the asynchronous runtime"));
            return Exit::Failed.into();
        }
    };
    let outcome = runtime.block_on(async {
        let context = Context::new(cli.global)?;
        let outcome = commands::run(&context, cli.command).await.map_err(cluster::engine::blame);
        match outcome {
            Ok(exit) => Ok(exit),
            Err(error) => Err(cluster::reach::explain(&context, error).await),
        }
    });
    // A blocking read (a terminal's key, a stuck pipe) must not keep the process alive after its work is done.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            error::print(&failure);
            error::exit_of(&failure).into()
        }
    }
}
