//! All of a folder as text, to see that nothing in it changed: bytes, modes and links.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// What is below a folder, by path: kind, mode, and the target of a link or the hash of a file. Times are left out, and so is
/// the folder `but` with all that is in it.
pub(crate) fn tree(folder: &Path, but: Option<&Path>) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    walk(folder, but, &mut found);
    found
}

fn walk(folder: &Path, but: Option<&Path>, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if but == Some(&*path) {
            continue;
        }
        // Another process's temporary file may be gone again.
        let Ok(there) = fs::symlink_metadata(&path) else { continue };
        let content = if there.is_symlink() {
            format!("to {}", fs::read_link(&path).expect("a link").display())
        } else if there.is_file() {
            format!("{:?}", Sha256::digest(fs::read(&path).expect("a file")))
        } else {
            String::new()
        };
        let mode = there.permissions().mode();
        found.insert(path.clone(), format!("{:?} {mode:o} {content}", there.file_type()));
        if there.is_dir() {
            walk(&path, but, found);
        }
    }
}

/// What differs between two, in lines.
pub(crate) fn difference(
    before: &BTreeMap<PathBuf, String>,
    after: &BTreeMap<PathBuf, String>,
) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    let word = |entry: Option<&String>| entry.map_or("absent".to_owned(), Clone::clone);
    changed
        .map(|path| format!("{}: {} → {}", path.display(), word(before.get(path)), word(after.get(path))))
        .collect()
}
