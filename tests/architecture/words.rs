//! The words that this project's language replaces: none stands in sources, docs, help texts, schemas or scripts.

use regex::Regex;

use crate::sources;

/// The words, each with what to write instead.
const WORDS: [(&str, &str); 34] = [
    ("told", "reported, requested, configured"),
    ("tells", "reports, says in which case, distinguishes"),
    ("anew", "again"),
    ("nought", "0"),
    ("amiss", "not ready, failed"),
    ("vain", "without effect"),
    ("unwell", "unhealthy"),
    ("nobody", "no client, no process"),
    ("somebody", "another process, another user"),
    ("whoever", "the reader, the caller"),
    ("fate", "outcome"),
    ("fates", "outcomes"),
    ("befell", "happened to"),
    ("befalls", "happens to"),
    ("aloud", "on stderr"),
    ("beside", "next to, in addition to"),
    ("of others", "of other tools, of other users"),
    ("of its own", "its own X, a separate X"),
    ("of one's own", "your own"),
    ("of their own", "their own X, a separate X"),
    ("told from", "distinguished from"),
    ("gave up", "failed, timed out"),
    ("gives up", "fails, stops"),
    ("broke off", "lost the connection"),
    ("breaks off", "loses the connection"),
    ("without a word", "without output"),
    ("the seed", "the original demo; a random seed"),
    ("stand-in", "embedded cluster, fake"),
    ("corridor", "supported versions"),
    ("hearsay", "state from before"),
    ("asks again", "retries"),
    ("lets it rest", "stops it"),
    ("all the same", "anyway"),
    ("is no", "is not a"),
];

/// Where a word may stand: the path's beginning, the word, the reason.
const EXCEPTIONS: [(&str, &str, &str); 13] = [
    ("tests/architecture/words.rs", "", "the list itself"),
    ("", "fates", "the name of a command"),
    ("", "fate", "the name of a command"),
    ("crates/kustomize/src/select.rs", "is no", "a text that a recorded verdict contains"),
    ("crates/kustomize/tests/trees/", "nobody", "names in recorded trees"),
    ("CHANGELOG.md", "", "history"),
    ("src/", "", "not rewritten yet"),
    ("tests/", "", "not rewritten yet"),
    ("schemas/", "", "made from types in src/"),
    ("docs/reference.md", "", "made from help texts in src/"),
    ("fuzz/", "", "not rewritten yet"),
    ("target", "", "not part of the project"),
    ("bench/", "the seed", "a random seed"),
];

/// The extensions of files that people read.
const READ_BY_PEOPLE: [&str; 8] = ["rs", "md", "txt", "yaml", "json", "toml", "js", "sh"];

#[test]
fn no_text_uses_a_replaced_word() {
    let files = sources::with_extension(&READ_BY_PEOPLE);
    assert!(files.len() > 500, "only {} files were read", files.len());
    let mut wrong = Vec::new();
    for file in &files {
        for (line, word, instead) in found(&file.text) {
            let excepted = EXCEPTIONS
                .iter()
                .any(|(path, of, _)| file.path.starts_with(path) && (of.is_empty() || *of == word));
            if !excepted {
                wrong.push(format!("{}:{line}: `{word}`; write: {instead}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{} replaced words:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_planted_word_is_found() {
    let words = |text| found(text).into_iter().map(|(line, word, _)| (line, word)).collect::<Vec<_>>();
    assert_eq!(words("fn x() {}\nfn told_anew() {}\n"), [(2, "told"), (2, "anew")]);
    assert_eq!(words("`x` is no port"), [(1, "is no")]);
    assert_eq!(words("It lies Beside it"), [(1, "beside")]);
    assert_eq!(words("there is no lab; it is no longer there; untold, besides"), []);
}

/// The replaced words of a text with their line's number.
fn found(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    // Letters end a word, underscores do not: identifiers are read by people too.
    let pattern = |word: &str| Regex::new(&format!("(?i)(?:^|[^a-z]){word}(?:[^a-z]|$)")).expect("a pattern");
    let patterns: Vec<_> = WORDS.iter().map(|(word, instead)| (pattern(word), *word, *instead)).collect();
    let usual = Regex::new("(?i)there is no |is no longer|is not? no ").expect("a pattern");
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (pattern, word, instead) in &patterns {
            // Most lines have none of the words, and a search is cheaper than a match.
            if !lower.contains(word) {
                continue;
            }
            let line = if *word == "is no" { usual.replace_all(line, "") } else { line.into() };
            if pattern.is_match(&line) {
                all.push((number + 1, *word, *instead));
            }
        }
    }
    all
}
