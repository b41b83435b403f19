//! `meshy completions`: the shell's part of tab completion.

use anyhow::Context as _;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::context::Context;
use meshy_base::error::Exit;

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
pub(crate) async fn run(_context: &Context, args: Args) -> anyhow::Result<Exit> {
    // The script asks the program itself at each key press, so that it knows labs, overlays and targets.
    let shells = Shells::builtins();
    let shell = args.shell.to_string();
    let shell = shells.completer(&shell).with_context(|| format!("no completion is known for {shell}"))?;
    let mut script = Vec::new();
    shell.write_registration("COMPLETE", "meshy", "meshy", "meshy", &mut script)?;
    crate::ui::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
