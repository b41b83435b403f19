//! Every shell block of the README and the docs is checked: each `meshy` line must be a command line that meshy
//! accepts, and a block with anything else in it carries its reason for not being run.
//!
//! Blocks are fenced as `sh`. The line before a block may be `<!-- no-test: reason -->` (it is counted and shown) or
//! `<!-- test: walkthrough -->` (tests/walkthrough.rs runs it against the embedded cluster).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use meshy::cli::Cli;
use regex::Regex;

struct Block {
    place: String,
    mark: Option<String>,
    lines: Vec<String>,
}

fn pages() -> Vec<PathBuf> {
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

fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let name = page.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(page).display().to_string();
    let mut found = Vec::new();
    let mut mark = None;
    let mut open: Option<Block> = None;
    let mut other = false;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        if let Some(block) = &mut open {
            if line.starts_with("```") {
                found.extend(open.take());
            } else {
                block.lines.push(line.to_owned());
            }
        } else if other {
            other = !line.starts_with("```");
        } else if line == "```sh" {
            open = Some(Block { place, mark: mark.take(), lines: Vec::new() });
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
fn meshy_words(line: &str) -> Option<Vec<String>> {
    let line = line.trim().trim_start_matches("$ ");
    let line =
        line.strip_prefix("cargo run --release -- ").map_or(line.to_owned(), |rest| format!("meshy {rest}"));
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

#[test]
fn every_meshy_line_in_the_docs_is_a_command_that_meshy_accepts() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for block in pages().iter().flat_map(|page| blocks(page)) {
        for line in &block.lines {
            let Some(words) = meshy_words(line) else { continue };
            seen += 1;
            if let Err(error) = Cli::try_parse_from(&words)
                && error.use_stderr()
            {
                let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                wrong.push(format!("{}: {line}\n    {first}", block.place));
            }
        }
    }
    assert!(seen > 0, "the docs show no command at all");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_block_that_no_test_runs_says_why() {
    let mut silent = Vec::new();
    let mut counted = 0;
    for block in pages().iter().flat_map(|page| blocks(page)) {
        let all_meshy = block.lines.iter().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || meshy_words(line).is_some()
        });
        match block.mark.as_deref() {
            Some(mark) if mark.starts_with("no-test: ") => {
                counted += 1;
                eprintln!("{}: {mark}", block.place);
            }
            Some("test: walkthrough") => {}
            Some(other) => silent.push(format!("{}: unknown mark `{other}`", block.place)),
            None if all_meshy => {}
            None => silent.push(format!("{}: neither run nor marked `no-test: reason`", block.place)),
        }
    }
    eprintln!("{counted} blocks are not run");
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn every_error_with_an_id_has_a_page_and_every_page_its_error() {
    let id = Regex::new(r#"(?s)\.id\(([^)]*)\)"#).expect("a pattern");
    let name = Regex::new(r#""([a-z-]+)""#).expect("a pattern");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut used = BTreeSet::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = fs::read_to_string(entry.path()).expect("a source");
            for call in id.captures_iter(&text) {
                used.extend(name.captures_iter(&call[1]).map(|found| found[1].to_owned()));
            }
        }
    }
    let listed = fs::read_dir(root.join("docs/errors")).expect("the pages").flatten();
    let pages: BTreeSet<String> = listed
        .filter_map(|page| page.file_name().to_str()?.strip_suffix(".md").map(str::to_owned))
        .filter(|page| page != "README")
        .collect();
    assert_eq!(used, pages);
    let overview = fs::read_to_string(root.join("docs/errors/README.md")).expect("the overview");
    for page in &pages {
        assert!(overview.contains(&format!("[{page}]({page}.md)")), "{page} is not in the overview");
        let text = fs::read_to_string(root.join(format!("docs/errors/{page}.md"))).expect("a page");
        assert!(text.starts_with(&format!("# {page}: ")) && text.contains("\n- "), "{page}");
    }
}
