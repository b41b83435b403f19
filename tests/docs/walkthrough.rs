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

/// The words of the lines in the blocks that the page marks for this test.
fn lines() -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/walkthrough.md");
    let marked = blocks(&page).into_iter().filter(|block| block.mark.as_deref() == Some(super::WALKTHROUGH));
    let words = |line: &String| meshy_words(line).unwrap_or_else(|| panic!("not meshy's: {line}"));
    marked.flat_map(|block| block.lines.iter().map(words).collect::<Vec<_>>()).collect()
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
fn the_walkthrough_runs_as_it_stands_on_the_page() {
    let lines = lines();
    assert!(lines.len() > 15, "the page has lost its blocks");
    let elsewhere = std::env::var("MESHY_WALKTHROUGH").ok();
    let place = elsewhere.map_or_else(|| Place::Embedded(Home::new()), Place::Elsewhere);
    let mut success = Vec::new();
    for line in &lines {
        // One number is asked of each run of load; the rest of the page must simply work.
        let traffic = line[1] == "traffic";
        let mut line = line.clone();
        if traffic {
            line.extend(["-o", "json"].map(str::to_owned));
        }
        let begun = Instant::now();
        let output = place.run(&line);
        let line = line.join(" ");
        eprintln!("{:6.1} s  {line}", begun.elapsed().as_secs_f64());
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{line}` ended with {}:\n{talk}", output.status);
        if traffic {
            let document: serde_json::Value =
                serde_json::from_slice(&output.stdout).expect("one JSON document");
            success.push(
                document["traffic"]["success_ratio"]
                    .as_f64()
                    .unwrap_or_else(|| panic!("no success_ratio: {document}")),
            );
        }
    }
    // 20 requests at 30 % each: fewer than 15 good ones, but for one run in a million; with retries nearly all are good.
    let [before, after, ingress_before, ingress_after] = success[..] else {
        panic!("four runs of load: {success:?}")
    };
    assert!(before < 0.75 && ingress_before < 0.75, "{success:?}");
    assert!(after > 0.9 && ingress_after > 0.9, "{success:?}");
}
