//! docs/walkthrough.md, run line by line with the real program, in three places:
//!
//! - on an embedded cluster in a temporary home folder;
//! - on KinD: the lines that need neither a mesh nor an ingress controller, whose images the testbed does not have;
//! - on a cluster of the caller's choice, with a real Linkerd: `MESHY_WALKTHROUGH` has the words that each line gets instead of
//!   `--provider embedded`, for example `--provider kind --name walk`, and `MESHY_WALKTHROUGH_UP` those for `up` alone, for example
//!   `--image-registry localhost:5001`. The caller's environment and home are used, so that a lab with the images can be there
//!   already; the page's last line deletes it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::blocks::{blocks, meshy_words};
use crate::home::Home;
use crate::numbers;

/// The words of a line, and the part of its output that the page shows.
type Line = (Vec<String>, Vec<String>);

/// The lines in the blocks that the page marks for this test.
fn lines() -> Vec<Line> {
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

/// Where the lines run.
enum Place {
    /// An embedded cluster in a temporary home folder, removed at the end.
    Embedded(Home),
    /// A KinD lab of this name without mesh and ingress, in a temporary home folder.
    Kind(tempfile::TempDir, String),
    /// These words for each line and those for `up`, on a cluster of the caller's choice.
    Elsewhere(String, String),
}

impl Place {
    fn command(&self, words: &[String]) -> Command {
        let words = &words[1..];
        let is_up = words[0] == "up";
        let mut command = match self {
            Self::Embedded(home) => home.command(""),
            Self::Kind(..) | Self::Elsewhere(..) => Command::new(env!("CARGO_BIN_EXE_meshy")),
        };
        command.args(words).stdin(Stdio::null());
        match self {
            Self::Embedded(_) => command.args(["--provider", "embedded", "--timeout", "2m"]),
            Self::Kind(home, name) => {
                command.args(["--provider", "kind", "--name", name, "--timeout", "10m"]);
                command.args(is_up.then_some(["--mesh", "none", "--ingress", "none"]).into_iter().flatten());
                command.env("HOME", home.path()).env_remove("XDG_STATE_HOME").env_remove("KUBECONFIG")
            }
            Self::Elsewhere(each, up) => {
                command.args(each.split_whitespace()).args(["--timeout", "10m"]);
                command.args(is_up.then(|| up.split_whitespace()).into_iter().flatten())
            }
        };
        command
    }

    /// Runs the lines, and compares what each prints with what the page shows.
    fn walk(&self, lines: &[Line]) {
        for (line, output) in lines {
            let begun = Instant::now();
            let ran = self.command(line).output().expect("the program starts");
            let line = line.join(" ");
            eprintln!("{:6.1} s  {line}", begun.elapsed().as_secs_f64());
            let talk = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "`{line}` ended with {}:\n{talk}", ran.status);
            if let Err(why) = numbers::compare(output, &String::from_utf8_lossy(&ran.stdout)) {
                panic!("`{line}`: {why}");
            }
        }
    }
}

impl Drop for Place {
    /// A walkthrough that failed half way must not leave its cluster running.
    fn drop(&mut self) {
        if !matches!(self, Self::Embedded(_)) {
            let _ = self.command(&["meshy", "down", "--yes"].map(str::to_owned)).output();
        }
    }
}

#[test]
fn the_walkthrough_runs_as_it_stands_on_the_page_and_prints_its_numbers() {
    let lines = lines();
    assert!(lines.len() > 15, "the page has lost its blocks");
    let shown = lines.iter().filter(|(_, output)| !output.is_empty()).count();
    assert!(shown >= 7, "the page shows {shown} outputs");
    Place::Embedded(Home::new()).walk(&lines);
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn the_lines_of_the_walkthrough_that_need_no_mesh_run_on_kind() {
    let needs_none = |(words, _): &Line| match words[1].as_str() {
        "up" | "status" | "build" | "deploy" | "fault" | "down" => true,
        "check" => words.iter().any(|word| word == "--machine"),
        _ => false,
    };
    let lines: Vec<Line> = lines().into_iter().filter(needs_none).collect();
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert!(lines.iter().any(|(_, output)| !output.is_empty()), "no output is compared");
    let home = tempfile::tempdir().expect("a folder");
    Place::Kind(home, format!("walk-{}", std::process::id())).walk(&lines);
}

#[test]
#[ignore = "needs a lab with images of Linkerd and ingress-nginx: MESHY_WALKTHROUGH"]
fn the_walkthrough_prints_its_numbers_on_the_cluster_of_the_caller() {
    let each = std::env::var("MESHY_WALKTHROUGH").expect("MESHY_WALKTHROUGH names the provider and the lab");
    Place::Elsewhere(each, std::env::var("MESHY_WALKTHROUGH_UP").unwrap_or_default()).walk(&lines());
}
