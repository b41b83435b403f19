//! `meshy` alone: what is there and what to do next.

use serde::Serialize;

use crate::context::Context;
use crate::ui::table;
use meshy_base::error::Exit;
use meshy_lab::cluster;
use meshy_lab::lab::{LabName, Record};

#[derive(Debug, Serialize)]
struct Overview {
    labs: Vec<Record>,
    next: Vec<[String; 2]>,
}

/// Prints the labs and the next commands.
///
/// # Errors
/// The state folder cannot be read.
#[allow(clippy::unused_async, reason = "every command is asked the same way")]
pub(crate) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let labs = Record::all()?;
    let next = match &labs[..] {
        [] => vec![
            ("meshy demo".to_owned(), "run the guided demo, two minutes; needs nothing installed"),
            ("meshy up".to_owned(), "create a lab: KinD where there is an engine, else embedded"),
            ("meshy check --machine".to_owned(), "check that this machine can run KinD"),
        ],
        [lab, rest @ ..] => {
            // The commands that a lone lab needs no name for; `down` always needs the name of a lab that is not the default one.
            let name =
                if *lab.name == *LabName::DEFAULT { String::new() } else { format!(" --name {}", lab.name) };
            let only = if rest.is_empty() { "" } else { &name };
            vec![
                (format!("meshy status{only}"), "show the lab's state"),
                (format!("meshy traffic{only}"), "send load and show what clients saw"),
                (format!("meshy down{name}"), "delete the lab"),
            ]
        }
    };
    let next = next.into_iter().map(|(command, what)| [command, what.to_owned()]).collect();
    context.data(&Overview { labs, next }, |o| {
        let mut text = String::new();
        let labs: Vec<[String; 3]> = o
            .labs
            .iter()
            .map(|l| {
                [
                    l.name.to_string(),
                    cluster::word(l.provider()).to_owned(),
                    format!("context `{}`", l.context),
                ]
            })
            .collect();
        text.push_str(if labs.is_empty() { "There is no lab yet.\n" } else { "Labs:\n" });
        table::columns(&labs).lines().for_each(|l| text.push_str(&format!("  {l}\n")));
        text.push_str("\nNext:\n");
        table::columns(&o.next).lines().for_each(|l| text.push_str(&format!("  {l}\n")));
        text.push_str("\n`meshy --help` shows all commands.\n");
        text
    })?;
    Ok(Exit::Done)
}
