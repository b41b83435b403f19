//! `meshy down`: removes everything that meshy created for a lab.

use meshy_base::error::Exit;
use meshy_lab::down::Down;
use meshy_lab::lab;

use crate::context::Context;

/// How many files that meshy did not create are named.
const NAMED: usize = 20;

/// The flags of `meshy down`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy down\n  meshy down --name lab2 --dry-run")]
pub struct Args {}

/// Removes the lab.
///
/// # Errors
/// Returns an error if something cannot be removed.
pub(crate) async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    if let Some(down) = meshy_lab::down::down(context).await? {
        context.data(&down, text)?;
    }
    Ok(Exit::Done)
}

fn text(down: &Down) -> String {
    let mut text = String::new();
    let mut list = |word: &str, lines: &[String]| {
        lines.iter().take(NAMED).for_each(|line| text.push_str(&format!("{word} {line}\n")));
        if lines.len() > NAMED {
            text.push_str(&format!("{word} {} more\n", lines.len() - NAMED));
        }
    };
    list("removed", &down.removed);
    list("kept, as meshy did not create it:", &down.kept);
    list("unknown:", &down.unknown);
    if !text.is_empty() {
        return text;
    }
    let others: Vec<String> =
        lab::names().unwrap_or_default().iter().map(|name| format!("--name {name}")).collect();
    match &others[..] {
        [] => format!("there is no lab `{}`; nothing to remove", down.lab),
        others => format!(
            "there is no lab `{}`; nothing removed. To delete another lab, use {}",
            down.lab,
            others.join(" or ")
        ),
    }
}
