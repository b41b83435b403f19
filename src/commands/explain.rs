//! `meshy explain`: the page of an error or a lint finding, a term of the glossary, or a recorded run in sentences.

mod plain;

use anyhow::anyhow;
use serde::Serialize;

use crate::context::Context;
use crate::runs::{self, NoSuchRun};
use crate::summary;
use meshy_base::error::{self, Advise, Exit};
use meshy_lab::files;

/// The name of the last recorded run.
const LAST: &str = "last";

/// What to explain.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy explain\n  meshy explain 20261122\n  meshy explain budget-ttl\n  meshy explain retry budget"
)]
pub struct Args {
    /// The id of an error or a lint finding, a term, or a run: its id or first characters, a tag, a file of events, or `last`
    #[arg(default_value = LAST, value_name = "ID|TERM|RUN")]
    what: Vec<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    run: &'a str,
    /// For each step its sentences.
    steps: &'a [Vec<String>],
    verdict: Option<&'a str>,
}

/// A page of meshy's documentation.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Page<'a> {
    /// The id of the error or the finding, or the term.
    id: &'a str,
    /// In Markdown.
    page: &'a str,
}

/// Prints the page, the term or the run.
///
/// # Errors
/// There is no page, term or run of that name.
#[expect(clippy::unused_async, reason = "commands have one form")]
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let what = args.what.join(" ");
    if let Some(page) = files::page(&what).or_else(|| files::term(&what)) {
        context.data(&Page { id: &what, page }, |_| plain::text(page, WIDTH))?;
        return Ok(Exit::Done);
    }
    let run = match runs::load(&what) {
        // There may be none yet, which the error of the runs explains.
        Err(error) if what != LAST && error::cause::<NoSuchRun>(&error).is_some() => return unknown(&what),
        loaded => loaded?,
    };
    let steps: Vec<Vec<String>> = run.steps.iter().map(summary::explain).collect();
    let verdict = run.verdict.as_ref().map(|verdict| verdict.text.as_str());
    let document = Document { run: &run.id, steps: &steps, verdict };
    context.data(&document, |_| {
        let mut text: Vec<String> = steps.iter().map(|sentences| in_lines(sentences)).collect();
        text.extend(verdict.map(|text| summary::wrapped(text, WIDTH).join("\n")));
        text.join("\n\n")
    })?;
    Ok(Exit::Done)
}

/// Returns the error for a name of nothing.
fn unknown(what: &str) -> anyhow::Result<Exit> {
    let hint = match near(what) {
        Some(id) => format!("did you mean `meshy explain {id}`?"),
        None => "docs/glossary.md has the terms, docs/errors and docs/lint the ids; `meshy report --list` lists the runs".to_owned(),
    };
    Err(anyhow!("no error, lint finding, term or run is named `{what}`")).hint(hint).exit(Exit::Usage)
}

/// The page or the term whose name is a slip away.
fn near(what: &str) -> Option<&'static str> {
    let likeness = |id: &str| strsim::jaro_winkler(id, what);
    files::pages()
        .chain(files::terms())
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|id| likeness(id) > 0.85)
}

/// Fits the narrowest terminal that is common, less the indent.
const WIDTH: usize = 78;

fn in_lines(sentences: &[String]) -> String {
    let first = sentences.first().cloned().unwrap_or_default();
    let rest = sentences.iter().skip(1).flat_map(|sentence| summary::wrapped(sentence, WIDTH));
    std::iter::once(first).chain(rest.map(|line| format!("  {line}"))).collect::<Vec<_>>().join("\n")
}
