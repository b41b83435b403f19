//! docs/walkthrough.md, run line by line with the real program against an embedded cluster in a temporary home folder.
//!
//! On another cluster: `MESHY_WALKTHROUGH` holds the words that each line gets instead of `--provider embedded`, for
//! example `--provider kind --name walk`, and `MESHY_WALKTHROUGH_UP` those for `up` alone, for example
//! `--image-registry localhost:5001`. The caller's environment and home are used then, so that a lab with images of the
//! caller's own can be there already; the page's last line takes it away.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::blocks::{blocks, meshy_words};
use crate::home::Home;
use crate::numbers;

/// The words of the lines in the blocks that the page marks for this test, each with the part of its output that the page shows.
fn lines() -> Vec<(Vec<String>, Vec<String>)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/walkthrough.md");
    let marked = blocks(&page).into_iter().filter(|block| block.mark.as_deref() == Some(super::WALKTHROUGH));
    let mut found = Vec::new();
    for block in marked {
        let words =
            block.lines.iter().map(|line| meshy_words(line).unwrap_or_else(|| panic!("not meshy's: {line}")));
        found.extend(words.map(|words| (words, Vec::new())));
        if let Some((_, output)) = found.last_mut() {
            *output = block.output;
        }
    }
    found
}

enum Place {
    /// An embedded cluster in a temporary home folder, removed at the end.
    Embedded(Home),
    /// Words for each line, on a cluster of the caller's choice.
    Elsewhere(String),
}

impl Place {
    fn command(&self, words: &[String]) -> Command {
        match self {
            Self::Embedded(home) => {
                let mut command = home.command("");
                command.args(&words[1..]).args(["--provider", "embedded", "--timeout", "2m"]);
                command
            }
            Self::Elsewhere(given) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_meshy"));
                command.args(&words[1..]).args(given.split_whitespace()).args(["--timeout", "10m"]);
                if words[1] == "up" {
                    let up = std::env::var("MESHY_WALKTHROUGH_UP").unwrap_or_default();
                    command.args(up.split_whitespace());
                }
                command.stdin(Stdio::null());
                command
            }
        }
    }

    fn run(&self, words: &[String]) -> Output {
        self.command(words).output().expect("the program starts")
    }
}

impl Drop for Place {
    /// A walkthrough that failed half way must not leave its cluster running.
    fn drop(&mut self) {
        if matches!(self, Self::Elsewhere(_)) {
            self.run(&["meshy", "down", "--yes"].map(str::to_owned));
        }
    }
}

#[test]
fn the_walkthrough_runs_as_it_stands_on_the_page_and_prints_its_numbers() {
    let lines = lines();
    assert!(lines.len() > 15, "the page has lost its blocks");
    let shown = lines.iter().filter(|(_, output)| !output.is_empty()).count();
    assert!(shown >= 7, "the page shows {shown} outputs");
    let elsewhere = std::env::var("MESHY_WALKTHROUGH").ok();
    let place = elsewhere.map_or_else(|| Place::Embedded(Home::new()), Place::Elsewhere);
    for (line, output) in &lines {
        let begun = Instant::now();
        let ran = place.run(line);
        let line = line.join(" ");
        eprintln!("{:6.1} s  {line}", begun.elapsed().as_secs_f64());
        let talk = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "`{line}` ended with {}:\n{talk}", ran.status);
        if let Err(why) = numbers::compare(output, &String::from_utf8_lossy(&ran.stdout)) {
            panic!("`{line}`: {why}");
        }
    }
}
