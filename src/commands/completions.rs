//! `meshy completions`: the shell's part of tab completion.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::Exit;

/// The flags of `meshy completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy completions bash > ~/.local/share/bash-completion/completions/meshy\n  meshy completions zsh > ~/.zfunc/_meshy"
)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the completion script.
///
/// # Errors
/// Stdout cannot be written.
#[allow(clippy::unused_async, reason = "every command is asked the same way")]
pub async fn run(_context: &Context, args: Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "meshy", &mut script);
    crate::ui::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
