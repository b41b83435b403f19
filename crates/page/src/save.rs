//! The page with its events as one file, which opens without a server. It is the report of the run.
//!
//! Browsers load no modules from files, so the modules become one script: each has only imports of one line and named exports,
//! which are left out, and no name is used by two modules at their top level (a test checks both).

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::assets::{self, MODULES, STYLES};
use crate::hub::{self, Hub};
use crate::report::{self, Reporter};

/// Returns the page of what the hub has now, with its report.
pub fn page(hub: &Hub, reporter: Reporter) -> String {
    let (state, details, events) = hub.snapshot();
    let report = report::of(&events, reporter);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let data = format!(
        "{{\"state\":{},\"details\":{},\"events\":{}}}",
        text(&state),
        text(&details),
        text(&hub::list(&events))
    );
    // Within a script element only `<` can end it.
    let data = data.replace('<', "\\u003c");
    let script = script();
    let charts = assets::CHARTS.content;
    let styles: String = STYLES.iter().map(|style| style.content).collect();
    let sheets = std::iter::once(styles.as_str()).chain(report::styles(&report.pictures));
    let sheets: Vec<String> = sheets.map(|sheet| format!("'{}'", hash(sheet))).collect();
    let policy = format!(
        "default-src 'none'; script-src '{}' '{}'; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(charts),
        sheets.join(" ")
    );
    let filled = report::illustrate(&report::fill(assets::page().content, &report), &report.pictures);
    let (before, after) = split(&filled);
    let mut page = String::with_capacity(data.len() + script.len() + charts.len() + styles.len() + 16_384);
    let (head, rest) = before.split_once("<head>").unwrap_or(("", before));
    page.push_str(head);
    // Writing into a text cannot fail.
    let _ = write!(page, "<head>\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">");
    page.push_str(rest);
    let _ = write!(page, "<style>{styles}</style>\n<script>{charts}</script>\n");
    page.push_str(after.split_once("</body>").map_or(after, |(body, _)| body));
    let _ = write!(
        page,
        "<script type=\"application/json\" id=\"run\">{data}</script>\n<script type=\"module\">{script}</script>\n</body>\n</html>\n"
    );
    page
}

/// Returns the page of a recorded run for the server: with its report; the server has its files.
pub(crate) fn served(hub: &Hub, reporter: Reporter) -> String {
    let (_, _, events) = hub.snapshot();
    report::fill(assets::page().content, &report::of(&events, reporter))
}

/// Splits the page where its links to styles and scripts are, which are left out.
fn split(page: &str) -> (&str, &str) {
    let start = "<!-- files -->";
    let end = "<!-- end of files -->";
    let before = page.split_once(start).map_or(page, |(before, _)| before);
    let after = page.split_once(end).map_or("", |(_, after)| after);
    (before, after)
}

/// Returns all modules as one script.
pub(crate) fn script() -> String {
    let lines = MODULES.iter().flat_map(|module| module.content.lines());
    let mut script = String::new();
    for line in lines.filter(|line| !line.starts_with("import ")) {
        script.push_str(line.strip_prefix("export ").unwrap_or(line));
        script.push('\n');
    }
    script
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
