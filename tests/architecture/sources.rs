//! The files of the project, as git would list them: without build folders.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// A text file of the project.
pub(crate) struct Source {
    /// Its path below the project's folder, with `/` between the parts.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    /// Returns a file with this text that is not read: one that a test plants.
    pub(crate) fn planted(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }
}

/// The project's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Folders that contain no text of this project: build output, packages of other projects, inputs that a fuzzer found.
const FOREIGN: [&str; 5] = ["target", "out", "node_modules", "vendor", "corpus"];

/// Returns the files below the project's folder whose name ends in one of `extensions`, by path; the extension `` is that of a
/// name without a dot (`justfile`).
pub(crate) fn with_extension(extensions: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    collect(root(), extensions, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Returns a file's text without its tests, which may use anything: empty for a file of tests, without the line that declares
/// such a file (`mod tests;`), and up to the module of tests at its end (`mod tests {`). The lines keep their numbers.
pub(crate) fn program(source: &Source) -> String {
    let path = &source.path;
    if path.ends_with("tests.rs") || path.starts_with("tests/") || path.contains("/tests/") {
        return String::new();
    }
    let text = DECLARED.replace_all(&source.text, "\n\n");
    let end = AT_THE_END.find(&text).map_or(text.len(), |found| found.start());
    text[..end].to_owned()
}

/// The declaration of a file of tests.
static DECLARED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\w+;\n"));

/// The beginning of a module of tests in its file.
static AT_THE_END: LazyLock<Regex> = LazyLock::new(|| pattern(r"\w+ \{"));

fn pattern(module: &str) -> Regex {
    Regex::new(&format!(r"(?m)^#\[cfg\(test\)\]\n(?:pub(?:\([a-z]+\))? )?mod {module}")).expect("a pattern")
}

#[test]
fn only_tests_are_cut_from_a_program() {
    let cut = |path: &str, text: &str| program(&Source::planted(path, text));
    let declared = "mod a;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod more;\nfn f() {}\n";
    assert_eq!(cut("src/a.rs", declared), "mod a;\n\n\n\n\nfn f() {}\n");
    let both = "#[cfg(test)]\nmod file_tests;\nfn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n";
    assert_eq!(cut("src/a.rs", both), "\n\nfn f() {}\n");
    let function = "#[cfg(test)]\nfn f() {}\nfn g() {}\n";
    assert_eq!(cut("src/a.rs", function), function);
    assert_eq!(cut("src/a/tests.rs", "fn f() {}\n"), "");
}

fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("a folder of the project").flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let hidden = name.starts_with('.') && name != ".ci";
        if path.is_symlink() || hidden || FOREIGN.contains(&name) {
            continue;
        }
        if path.is_dir() {
            collect(&path, extensions, found);
        } else if extensions.contains(&extension(&path)) {
            match fs::read_to_string(&path) {
                Ok(text) => found.push(Source { path: relative(&path), text }),
                // A program that a developer built has no extension either.
                Err(error) => assert!(extension(&path).is_empty(), "{}: {error}", path.display()),
            }
        }
    }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the project").display().to_string()
}
