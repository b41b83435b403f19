//! The pages' blocks, run line by line with the real program on embedded clusters: a home folder for each page.

use std::path::Path;

use crate::blocks::{blocks, meshy_words, pages};
use crate::home::Home;
use crate::numbers;

/// What stands for the reader's patience: loads whose numbers are not on the page are cut to this.
const SHORT: &str = "3s";

/// A line of a page.
struct Line {
    place: String,
    words: Vec<String>,
    /// The part of its output that the page shows.
    output: Vec<String>,
}

/// The line as the test runs it: short loads and windows, the demo in its short form.
fn shortened(mut words: Vec<String>) -> Vec<String> {
    if words.iter().any(|word| word == "--expect") {
        return words;
    }
    if let Some(at) = words.iter().position(|word| word == "--duration") {
        SHORT.clone_into(&mut words[at + 1]);
    }
    let given = |flag| words.iter().any(|word| word == flag);
    let more: &[&str] = match words.get(1).map(String::as_str) {
        Some("demo") if !given("--fast") => &["--fast"],
        _ => &[],
    };
    words.extend(more.iter().map(|&word| word.to_owned()));
    words
}

/// The commands of a page that no other test runs. A page that shows numbers runs as it stands: they depend on what ran before.
fn lines(page: &Path) -> Vec<Line> {
    let unmarked: Vec<_> = blocks(page).into_iter().filter(|block| block.mark.is_none()).collect();
    let shows_numbers = unmarked.iter().any(|block| !block.output.is_empty());
    let mut found = Vec::new();
    for block in unmarked {
        let last = block.lines.iter().rposition(|line| meshy_words(line).is_some());
        for (at, line) in block.lines.iter().enumerate() {
            let Some(words) = meshy_words(line) else { continue };
            let words = if shows_numbers { words } else { shortened(words) };
            let output = if Some(at) == last { block.output.clone() } else { Vec::new() };
            found.push(Line { place: block.place.clone(), words, output });
        }
    }
    found
}

#[test]
fn every_block_of_the_pages_runs_on_an_embedded_cluster_and_prints_the_numbers_of_the_page() {
    let pages: Vec<_> = pages().into_iter().map(|page| lines(&page)).filter(|l| !l.is_empty()).collect();
    assert!(pages.len() >= 4, "the pages have lost their blocks");
    let outputs = pages.iter().flatten().filter(|line| !line.output.is_empty()).count();
    assert!(outputs >= 3, "the pages show {outputs} outputs");
    std::thread::scope(|scope| {
        for lines in &pages {
            scope.spawn(move || {
                let home = Home::new();
                // Where a page leaves the choice to the machine, this test's is the cluster that is always there.
                std::fs::write(home.path().join("meshy.yaml"), "provider: embedded\n").expect("a file");
                for Line { place, words, output } in lines {
                    let begun = std::time::Instant::now();
                    // A page that shows the guided demo's numbers has the block of `demo --fast`; the long form is for a reader.
                    let words = if words[1..] == ["demo"] { &shortened(words.clone()) } else { words };
                    let ran = home.command("").args(&words[1..]).output().expect("the program starts");
                    let talk = String::from_utf8_lossy(&ran.stderr);
                    eprintln!("{:6.1} s  {place}: {}", begun.elapsed().as_secs_f64(), words.join(" "));
                    assert!(ran.status.success(), "{place}: {words:?}: {}\n{talk}", ran.status);
                    let real = String::from_utf8_lossy(&ran.stdout);
                    if let Err(why) = numbers::compare(output, &real) {
                        panic!("{place}: {words:?}: {why}");
                    }
                }
            });
        }
    });
}
