//! The words that this project's language replaces: none stands in sources, docs, help texts, schemas or scripts.

use std::sync::LazyLock;

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
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("tests/architecture/words.rs", "", "the list itself"),
    ("crates/kustomize/src/select.rs", "is no", "a text that a recorded verdict contains"),
    ("crates/kustomize/tests/trees/", "nobody", "names in recorded trees"),
    ("crates/kustomize/tests/trees/target-bad-expression/verdict", "is no", "a recorded verdict"),
    ("CHANGELOG.md", "", "history"),
    ("src/cli/removed.rs", "fates", "a name that a command had"),
];

/// Words that no file, folder, type or function of a source is named by, with what to write instead. In prose they are ordinary words.
const NAMES: [(&str, &str); 14] = [
    ("sight", "scrape, snapshot"),
    ("sighted", "scraped"),
    ("stage", "cluster, step"),
    ("scene", "step"),
    ("story", "scenario, lesson"),
    ("stories", "scenarios, sessions"),
    ("look", "find, read, window"),
    ("hush", "no echo"),
    ("leash", "bound process"),
    ("outlook", "state"),
    ("judge", "evaluate, check"),
    ("judgement", "result"),
    ("surroundings", "context, environment"),
    ("tell", "report"),
];

/// The extensions of files that people read; scripts have none.
const READ_BY_PEOPLE: [&str; 17] = [
    "", "rs", "md", "txt", "yaml", "yml", "json", "toml", "js", "mjs", "ts", "html", "css", "sh", "py", "go",
    "proto",
];

#[test]
fn no_text_uses_a_replaced_word() {
    let files = sources::with_extension(&READ_BY_PEOPLE);
    assert!(files.len() > 500, "only {} files were read", files.len());
    let mut wrong = Vec::new();
    for file in &files {
        let exceptions = || EXCEPTIONS.iter().filter(|(path, _, _)| file.path.starts_with(path));
        if exceptions().any(|(_, word, _)| word.is_empty()) {
            continue;
        }
        for (line, word, instead) in found(&file.text) {
            if !exceptions().any(|(_, of, _)| *of == word) {
                wrong.push(format!("{}:{line}: `{word}`; write: {instead}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{} replaced words:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_exception_matches_a_text() {
    let files = sources::with_extension(&READ_BY_PEOPLE);
    let matches = |path: &str, word: &str| {
        let below = files.iter().filter(|file| file.path.starts_with(path));
        below.flat_map(|file| found(&file.text)).any(|(_, found, _)| word.is_empty() || found == word)
    };
    let unused: Vec<_> = EXCEPTIONS.iter().filter(|(path, word, _)| !matches(path, word)).collect();
    assert!(unused.is_empty(), "exceptions that match nothing: {unused:?}");
}

#[test]
fn scripts_and_pages_are_read_and_programs_of_other_projects_are_not() {
    let files = sources::with_extension(&READ_BY_PEOPLE);
    let is_read = |path: &str| files.iter().any(|file| file.path == path);
    for path in [
        ".ci/run",
        "bench/senders",
        "justfile",
        "docs/pictures/make",
        "docs/pictures/review.mjs",
        "crates/page/assets/page.css",
        "crates/page/assets/page.html",
    ] {
        assert!(is_read(path), "{path} is not read");
    }
    let vendor = "crates/page/assets/vendor/";
    assert!(sources::root().join(vendor).join("uPlot.iife.min.js").is_file());
    assert!(!files.iter().any(|file| file.path.starts_with(vendor)), "uPlot is read");
}

#[test]
fn no_file_and_no_item_is_named_by_a_replaced_word() {
    let files = sources::with_extension(&["rs"]);
    let wrong: Vec<String> = files
        .iter()
        .filter(|file| !file.path.starts_with("tests/architecture/"))
        .flat_map(|file| named(&file.path, &file.text))
        .collect();
    assert!(wrong.is_empty(), "{} names with a replaced word:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_planted_name_is_found() {
    let found = |path: &str, text: &str| named(path, text).len();
    assert_eq!(found("src/stage.rs", ""), 1);
    assert_eq!(found("src/commands/look/history.rs", ""), 1);
    assert_eq!(found("src/a.rs", "pub(crate) struct Sighted {\n"), 1);
    assert_eq!(found("src/a.rs", "    async fn tell_registry(client: &Client) {}\n"), 1);
    assert_eq!(found("src/workload.rs", "fn lookup() {}\n// a stage\n"), 0);
}

/// The replaced words in the names of a file and of its items.
fn named(path: &str, text: &str) -> Vec<String> {
    let item = |line: &str| Some((line.to_owned(), ITEM.captures(line)?[1].to_owned()));
    let path_names = path.trim_end_matches(".rs").split('/').map(|name| (path.to_owned(), name.to_owned()));
    let names = path_names.chain(text.lines().filter_map(item));
    let mut wrong = Vec::new();
    for (place, name) in names {
        let words = CAPITAL.replace_all(&name, "_$0").to_lowercase();
        for (word, instead) in NAMES.iter().filter(|(word, _)| words.split('_').any(|part| part == *word)) {
            wrong.push(format!("{path}: `{word}` in {}; write: {instead}", place.trim()));
        }
    }
    wrong
}

/// The name of an item in the line of its definition.
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = "fn|struct|enum|trait|type|mod|const|static";
    Regex::new(&format!(r"^\s*(?:pub(?:\([a-z ]+\))? )?(?:async )?(?:const )?(?:{kinds}) ([A-Za-z_0-9]+)"))
        .expect("a pattern")
});

static CAPITAL: LazyLock<Regex> = LazyLock::new(|| Regex::new("[A-Z]").expect("a pattern"));

#[test]
fn a_planted_word_is_found() {
    let words = |text| found(text).into_iter().map(|(line, word, _)| (line, word)).collect::<Vec<_>>();
    assert_eq!(words("fn x() {}\nfn told_anew() {}\n"), [(2, "told"), (2, "anew")]);
    assert_eq!(words("`x` is no port"), [(1, "is no")]);
    assert_eq!(words("It lies Beside it"), [(1, "beside")]);
    assert_eq!(words("// a stand-in\nfn stand_in() {}\n"), [(1, "stand-in"), (2, "stand-in")]);
    assert_eq!(words("there is no lab; it is no longer there; untold, besides"), []);
}

/// Each word's pattern, the word, and what to write instead. Letters end a word, underscores do not: people read identifiers too.
/// An identifier has `_` where the word has `-`.
static PATTERNS: LazyLock<Vec<(Regex, &str, &str)>> = LazyLock::new(|| {
    let pattern = |word: &str| {
        let word = word.replace('-', "[-_]");
        Regex::new(&format!("(?:^|[^a-z]){word}(?:[^a-z]|$)")).expect("a pattern")
    };
    WORDS.iter().map(|(word, instead)| (pattern(word), *word, *instead)).collect()
});

/// The replaced words of a text with their line's number.
fn found(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        // Most lines have none of the words, and a search for a text is cheap.
        let contains = |word: &str| line.contains(word.split('-').next().unwrap_or_default());
        for (pattern, word, instead) in PATTERNS.iter().filter(|(_, word, _)| contains(word)) {
            let usual = ["there is no ", "is no longer", "is not no "];
            let line = match *word {
                "is no" => usual.iter().fold(line.clone(), |line, usual| line.replace(usual, "")),
                _ => line.clone(),
            };
            if pattern.is_match(&line) {
                all.push((number + 1, *word, *instead));
            }
        }
    }
    all
}
