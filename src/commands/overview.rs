//! `meshy` alone: what is there and what to do next.

use serde::Serialize;

use crate::context::Context;
use crate::ui::table;
use meshy_base::error::Exit;
use meshy_lab::cluster;
use meshy_lab::lab::Record;

#[derive(Debug, Serialize)]
struct Overview {
    labs: Vec<Record>,
    next: Vec<[&'static str; 2]>,
}

/// Prints the labs and the next commands.
///
/// # Errors
/// The state folder cannot be read.
#[allow(clippy::unused_async, reason = "every command is asked the same way")]
pub async fn run(context: &Context) -> anyhow::Result<Exit> {
    let labs = Record::all()?;
    let next = if labs.is_empty() {
        vec![
            ["meshy demo", "the whole story in two minutes, nothing needed"],
            ["meshy up", "a lab to work in: KinD where there is an engine, else embedded"],
            ["meshy check --machine", "whether this machine can carry KinD"],
        ]
    } else {
        vec![
            ["meshy status", "how the lab is"],
            ["meshy deploy", "the test services"],
            ["meshy down", "takes the lab away"],
        ]
    };
    context.data(&Overview { labs, next }, |o| {
        let mut text = String::new();
        let labs: Vec<[String; 3]> = o
            .labs
            .iter()
            .map(|l| {
                [l.name.to_string(), cluster::word(l.provider).to_owned(), format!("context `{}`", l.context)]
            })
            .collect();
        text.push_str(if labs.is_empty() { "There is no lab yet.\n" } else { "Labs:\n" });
        table::columns(&labs).lines().for_each(|l| text.push_str(&format!("  {l}\n")));
        text.push_str("\nNext:\n");
        let next: Vec<[String; 2]> = o.next.iter().map(|n| n.map(str::to_owned)).collect();
        table::columns(&next).lines().for_each(|l| text.push_str(&format!("  {l}\n")));
        text.push_str("\n`meshy --help` shows all commands.\n");
        text
    })?;
    Ok(Exit::Done)
}
