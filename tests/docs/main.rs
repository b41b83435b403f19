//! Every shell block of the README and the docs is run (`run`), or carries its reason for not being run; and each `meshy`
//! line of all of them must be a command line that meshy accepts.
//!
//! Blocks are fenced as `sh`. The line before a block may be `<!-- no-test: reason -->` (it is counted and shown) or
//! `<!-- test: walkthrough -->` (`walkthrough` runs it). A `text` block after `<!-- output -->` shows the output of the last line of the
//! block before it, and its numbers are compared with the real ones (`numbers`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Parser;
use meshy::cli::Cli;
use regex::Regex;

mod blocks;
#[path = "../support/home.rs"]
mod home;
mod numbers;
mod run;
mod walkthrough;

use blocks::{blocks, meshy_words, pages};

/// The mark of the blocks that `walkthrough` runs.
const WALKTHROUGH: &str = "test: walkthrough";

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
            Some(WALKTHROUGH) => {}
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
    let id = Regex::new(r"(?s)\.id\(([^)]*)\)").expect("a pattern");
    let name = Regex::new(r#""([a-z-]+)""#).expect("a pattern");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut used = BTreeSet::new();
    let crates = fs::read_dir(root.join("crates")).expect("the crates").flatten();
    let mut folders: Vec<_> = crates.map(|one| one.path().join("src")).chain([root.join("src")]).collect();
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

#[test]
fn every_file_that_the_pages_name_is_there() {
    let named = Regex::new(
        r"`((?:src|tests|crates|bench|docs|manifests|linkerd|test-services|fuzz)/[A-Za-z0-9_./-]+)`",
    )
    .expect("a pattern");
    let linked = Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").expect("a pattern");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut absent = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let here = page.parent().expect("a folder");
        let named = named.captures_iter(&text).map(|found| root.join(&found[1]));
        let linked = linked.captures_iter(&text).map(|found| here.join(&found[1]));
        for path in named.chain(linked) {
            seen += 1;
            // NAME stands for what the reader calls it.
            if !path.exists() && !path.to_string_lossy().contains("NAME") {
                absent.push(format!("{}: {}", page.display(), path.display()));
            }
        }
    }
    assert!(seen > 100, "the pages name {seen} files");
    assert!(absent.is_empty(), "{}", absent.join("\n"));
}

#[test]
fn every_link_to_a_heading_leads_to_one() {
    let linked = Regex::new(r"\]\(([^)#:]*)#([^)]+)\)").expect("a pattern");
    let (mut absent, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for found in linked.captures_iter(&text) {
            seen += 1;
            let target = match &found[1] {
                "" => page.clone(),
                other => page.parent().expect("a folder").join(other),
            };
            let target = fs::read_to_string(&target).unwrap_or_default();
            if !target.lines().filter_map(anchor).any(|anchor| anchor == found[2]) {
                absent.push(format!("{}: {}#{}", page.display(), &found[1], &found[2]));
            }
        }
    }
    assert!(seen > 20, "the pages have {seen} links to headings");
    assert!(absent.is_empty(), "{}", absent.join("\n"));
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

#[test]
fn an_anchor_is_made_of_the_words_of_a_heading() {
    assert_eq!(anchor("## In force, idle, stale").as_deref(), Some("in-force-idle-stale"));
    assert_eq!(anchor("#!/bin/sh"), None);
}

/// The dates of a text, as `29 November 2026`: year, month, day.
fn dates(text: &str) -> Vec<(u32, usize, u32)> {
    const MONTHS: &str =
        "January February March April May June July August September October November December";
    let date = Regex::new(r"\b(\d{1,2})\s([A-Z][a-z]+)\s(20\d\d)\b").expect("a pattern");
    let month = |name: &str| MONTHS.split(' ').position(|known| known == name);
    let read = |found: regex::Captures<'_>| {
        Some((found[3].parse().ok()?, month(&found[2])?, found[1].parse().ok()?))
    };
    date.captures_iter(text).filter_map(read).collect()
}

#[test]
fn the_measurements_have_the_newest_figures_first() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/measurements.md");
    let text = fs::read_to_string(page).expect("a page");
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    assert!(sections.len() > 10, "the page has {} sections", sections.len());
    let mut last = None;
    for section in sections {
        let title = section.lines().next().unwrap_or_default();
        let all = dates(section);
        let newest = all.iter().max().copied();
        assert!(newest.is_some(), "section `{title}` has no date");
        assert_eq!(all.first().copied(), newest, "section `{title}` does not begin with its newest date");
        assert!(last.is_none() || newest <= last, "section `{title}` is newer than the one before it");
        last = newest;
    }
}
