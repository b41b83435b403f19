//! The pages' blocks, run line by line with the real program on embedded clusters: a home folder for each page.

use std::path::Path;

use crate::blocks::{blocks, meshy_words, pages};
use crate::home::Home;

/// What stands for the reader's patience: loads that no expectation judges are cut to this.
const SHORT: &str = "3s";

/// The line as the test runs it: short loads and looks, the demo in its short form.
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
        Some("outcomes" | "stat" | "routes") if !given("--window") => &["--window", "1s"],
        _ => &[],
    };
    words.extend(more.iter().map(|&word| word.to_owned()));
    words
}

/// The commands of a page that no other test runs.
fn commands(page: &Path) -> Vec<(String, Vec<String>)> {
    let unmarked = blocks(page).into_iter().filter(|block| block.mark.is_none());
    unmarked
        .flat_map(|block| {
            let place = block.place.clone();
            block.lines.into_iter().map(move |line| (place.clone(), line))
        })
        .filter_map(|(place, line)| Some((place, shortened(meshy_words(&line)?))))
        .collect()
}

#[test]
fn every_block_of_the_pages_runs_on_an_embedded_cluster() {
    let pages: Vec<_> = pages().into_iter().map(|page| commands(&page)).filter(|c| !c.is_empty()).collect();
    assert!(pages.len() >= 4, "the pages have lost their blocks");
    std::thread::scope(|scope| {
        for commands in &pages {
            scope.spawn(move || {
                let home = Home::new();
                // Where a page leaves the choice to the machine, this test's is the cluster that is always there.
                std::fs::write(home.path().join("meshy.yaml"), "provider: embedded\n").expect("a file");
                for (place, words) in commands {
                    let begun = std::time::Instant::now();
                    let output = home.command("").args(&words[1..]).output().expect("the program starts");
                    let talk = String::from_utf8_lossy(&output.stderr);
                    eprintln!("{:6.1} s  {place}: {}", begun.elapsed().as_secs_f64(), words.join(" "));
                    assert!(output.status.success(), "{place}: {words:?}: {}\n{talk}", output.status);
                }
            });
        }
    });
}
