//! The report of a run on its page: what the views do not have, above and below them, and pictures for browsers without scripts.
//! The caller makes it, so that it has the same words and numbers as the commands.

use std::fmt::Write as _;

use bytes::Bytes;
use meshy_experiment::run::Run;

/// The parts of a report. All but the title are HTML without scripts, style attributes and references to files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The title of the run, as text.
    pub title: String,
    /// The result, above the views.
    pub summary: String,
    /// Tables and sentences, below the views.
    pub details: String,
    /// What takes the place of the views in a browser without scripts. It may have its own style sheets.
    pub pictures: String,
}

/// Makes the report of a run.
pub type Reporter = fn(&Run) -> Report;

/// Returns the report of a run that is given by its events, each as JSON.
pub(crate) fn of(events: &[Bytes], reporter: Reporter) -> Report {
    let lines = events.join(&b'\n');
    match Run::read(&lines[..]) {
        Ok(run) => reporter(&run),
        Err(error) => {
            tracing::warn!("a run has no report: {error}");
            Report::default()
        }
    }
}

/// Returns a page with title, summary and details in their places.
pub(crate) fn fill(page: &str, report: &Report) -> String {
    let Report { title, summary, details, .. } = report;
    let page = page.replacen("<!-- summary -->", summary, 1).replacen("<!-- report -->", details, 1);
    if title.is_empty() {
        return page;
    }
    let title = escape(title);
    page.replacen("<title>meshy</title>", &format!("<title>{title} \u{b7} meshy</title>"), 1).replacen(
        "<h1 id=\"title\">meshy</h1>",
        &format!("<h1 id=\"title\">{title}</h1>"),
        1,
    )
}

/// Returns a page with the pictures for browsers without scripts in their place.
pub(crate) fn illustrate(page: &str, pictures: &str) -> String {
    let mut part = String::new();
    if !pictures.is_empty() {
        // Writing into a text cannot fail.
        let _ = write!(part, "<noscript>\n{pictures}</noscript>");
    }
    page.replacen("<!-- pictures -->", &part, 1)
}

/// Returns the contents of the style sheets within HTML, each once.
pub(crate) fn styles(html: &str) -> Vec<&str> {
    let sheets = html.split("<style>").skip(1).filter_map(|rest| Some(rest.split_once("</style>")?.0));
    let mut sheets: Vec<&str> = sheets.collect();
    sheets.sort_unstable();
    sheets.dedup();
    sheets
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
