//! Shell blocks of Markdown pages.

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block and the mark in the line before it.
pub(crate) struct Block {
    pub(crate) place: String,
    pub(crate) mark: Option<String>,
    pub(crate) lines: Vec<String>,
    /// The part of the last line's output that the page shows: the `text` block after `<!-- output -->`.
    pub(crate) output: Vec<String>,
}

/// The comment in front of a block that shows the output of the block before it.
const OUTPUT: &str = "output";

/// The README, CONTRIBUTING and every page below docs.
pub(crate) fn pages() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    walk(&root.join("docs"), &mut found);
    found.sort();
    found
}

/// The shell blocks of a page.
pub(crate) fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let name = page.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(page).display().to_string();
    let mut found: Vec<Block> = Vec::new();
    let mut mark: Option<String> = None;
    let mut open: Option<Block> = None;
    let mut other = false;
    let mut shown = false;
    for (number, line) in text.lines().enumerate() {
        // A block in a list is indented with it.
        let line = line.trim_start();
        let place = format!("{name}:{}", number + 1);
        if let Some(block) = &mut open {
            if line.starts_with("```") {
                found.extend(open.take());
            } else {
                block.lines.push(line.to_owned());
            }
        } else if shown {
            shown = !line.starts_with("```");
            if shown && let Some(block) = found.last_mut() {
                block.output.push(line.to_owned());
            }
        } else if other {
            other = !line.starts_with("```");
        } else if line == "```sh" {
            open = Some(Block { place, mark: mark.take(), lines: Vec::new(), output: Vec::new() });
        } else if line == "```text" && mark.as_deref() == Some(OUTPUT) {
            assert!(!found.is_empty(), "{place}: there is no block before this output");
            mark = None;
            shown = true;
        } else if line.starts_with("```") {
            assert!(
                !["```bash", "```shell", "```console"].contains(&line),
                "{place}: shell blocks are fenced as sh, so that this test sees them"
            );
            other = true;
        } else {
            let comment = line.strip_prefix("<!-- ").and_then(|l| l.strip_suffix(" -->"));
            mark = comment.map(str::to_owned);
        }
    }
    found
}

/// The words of a `meshy` command in a line: prompts, pipes, redirections and comments taken off.
pub(crate) fn meshy_words(line: &str) -> Option<Vec<String>> {
    let line = line.trim().trim_start_matches("$ ");
    let line = line.strip_prefix("cargo run -- ").map_or(line.to_owned(), |rest| format!("meshy {rest}"));
    let start = line.split('|').map(str::trim).find(|part| part.starts_with("meshy "))?;
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in start.chars().chain([' ']) {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.push(c),
            ('\'' | '"', None) => quote = Some(c),
            ('#' | '&' | '>' | ';', None) if word.is_empty() => break,
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, None) => word.push(c),
        }
    }
    Some(words)
}
