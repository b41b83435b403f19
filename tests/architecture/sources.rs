//! The files of the project, as git would list them: without build folders.

use std::fs;
use std::path::Path;

/// A text file of the project.
pub(crate) struct Source {
    /// Its path below the project's folder, with `/` between the parts.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// The project's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files below the project's folder whose name ends in one of `extensions`, by path.
pub(crate) fn with_extension(extensions: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    collect(root(), extensions, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("a folder of the project").flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_symlink() || name.starts_with('.') || matches!(name, "target" | "out" | "node_modules") {
            continue;
        }
        if path.is_dir() {
            collect(&path, extensions, found);
        } else if extension(&path).is_some_and(|e| extensions.contains(&e)) {
            let text = fs::read_to_string(&path).expect("a text file");
            found.push(Source { path: relative(&path), text });
        }
    }
}

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the project").display().to_string()
}
