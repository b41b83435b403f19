//! docs/walkthrough.md, run line by line with the real program against an embedded cluster in a home of its own.
//!
//! On another cluster: `MESHY_WALKTHROUGH` holds the words that each line gets instead of `--provider embedded`, for
//! example `--provider kind --name walk`, and `MESHY_WALKTHROUGH_UP` those for `up` alone, for example
//! `--image-registry localhost:5001`. The caller's environment and home are used then, so that a lab with images of the
//! caller's own can be there already; the page's last line takes it away.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The lines of the blocks that the page marks for this test.
fn lines() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/walkthrough.md");
    let text = fs::read_to_string(page).expect("the walkthrough page");
    let mut found = Vec::new();
    let mut marked = false;
    let mut open = false;
    for line in text.lines() {
        match line {
            "<!-- test: walkthrough -->" => marked = true,
            "```sh" if marked => open = true,
            "```" => (marked, open) = (false, false),
            line if open => found.push(line.to_owned()),
            _ => {}
        }
    }
    found
}

struct Home {
    folder: tempfile::TempDir,
    /// Words for each line, on a cluster of the caller's choice.
    elsewhere: Option<String>,
}

impl Home {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            elsewhere: std::env::var("MESHY_WALKTHROUGH").ok(),
        }
    }

    fn run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("meshy"), "{line}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshy"));
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        match &self.elsewhere {
            None => {
                command
                    .args(["--provider", "embedded", "--timeout", "2m"])
                    .env_clear()
                    .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                    .env("HOME", self.folder.path());
            }
            Some(words) => {
                command.args(words.split_whitespace()).args(["--timeout", "10m"]);
                if line.starts_with("meshy up") {
                    let up = std::env::var("MESHY_WALKTHROUGH_UP").unwrap_or_default();
                    command.args(up.split_whitespace());
                }
            }
        }
        command.output().expect("the program starts")
    }
}

impl Drop for Home {
    /// A walkthrough that failed half way must not leave its cluster running.
    fn drop(&mut self) {
        self.run("meshy down --yes");
    }
}

#[test]
fn the_walkthrough_runs_as_it_stands_on_the_page() {
    let lines = lines();
    assert!(lines.len() > 15, "the page has lost its blocks");
    let home = Home::new();
    let mut success = Vec::new();
    for line in &lines {
        // One number is asked of each run of load; the rest of the page must simply work.
        let traffic = line.starts_with("meshy traffic");
        let begun = Instant::now();
        let output = home.run(&if traffic { format!("{line} -o json") } else { line.clone() });
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
