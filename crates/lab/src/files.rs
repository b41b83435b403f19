//! The files that meshy ships, inside the program: a bare name means one of these, a path means the disk.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use include_dir::{Dir, DirEntry, include_dir};

static BASE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../test-services/base");
static OVERLAYS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../test-services/overlays");
static ERRORS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../docs/errors");
static LINTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../docs/lint");
static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../manifests");
static LINKERD: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../linkerd");

static GLOSSARY: &str = include_str!("../../../docs/glossary.md");

/// Where each part lies in the repository, and in what `files export` writes.
static PARTS: &[(&str, &Dir<'_>)] = &[
    ("test-services/base", &BASE),
    ("test-services/overlays", &OVERLAYS),
    ("manifests", &MANIFESTS),
    ("linkerd", &LINKERD),
];

/// The folder that holds the overlays.
pub(crate) const OVERLAY_FOLDER: &str = "test-services/overlays";

/// All shipped files with their paths.
pub fn all() -> Vec<(PathBuf, &'static [u8])> {
    let mut files = Vec::new();
    for (folder, dir) in PARTS {
        collect(Path::new(folder), dir, &mut files);
    }
    files
}

fn collect(folder: &Path, dir: &'static Dir<'_>, files: &mut Vec<(PathBuf, &'static [u8])>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(folder, dir, files),
            DirEntry::File(file) => files.push((folder.join(file.path()), file.contents())),
        }
    }
}

/// The names of the shipped overlays.
pub fn overlays() -> Vec<String> {
    OVERLAYS.dirs().map(|d| d.path().display().to_string()).collect()
}

/// A shipped ServiceProfile as YAML, by the name of its file.
pub fn profile(name: &str) -> Option<&'static str> {
    LINKERD.get_file(Path::new("service-profiles").join(name))?.contents_utf8()
}

/// The policies that ship with meshy, by their names: the files of `linkerd/service-profiles` and `linkerd/routes`.
pub fn policies() -> Vec<String> {
    let folders = ["service-profiles", "routes"].into_iter().filter_map(|folder| LINKERD.get_dir(folder));
    let names =
        folders.flat_map(|folder| folder.files()).filter_map(|file| file.path().file_name()?.to_str());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}

/// A shipped policy as YAML, by the name of its file, with or without `.yaml`.
pub fn policy(name: &str) -> Option<&'static str> {
    let file = format!("{}.yaml", name.strip_suffix(".yaml").unwrap_or(name));
    let find = |folder: &str| LINKERD.get_file(Path::new(folder).join(&file));
    ["service-profiles", "routes"].into_iter().find_map(find)?.contents_utf8()
}

/// The page of an error or of a lint finding.
pub fn page(id: &str) -> Option<&'static str> {
    let name = format!("{id}.md");
    [&ERRORS, &LINTS].into_iter().find_map(|pages| pages.get_file(&name)?.contents_utf8())
}

/// Returns the entry of a term in the glossary, with its heading. Case does not matter, and `-` stands for a space.
pub fn term(term: &str) -> Option<&'static str> {
    let normal = |text: &str| text.trim().to_lowercase().replace('-', " ");
    glossary().find(|(name, _)| normal(name) == normal(term)).map(|(_, entry)| entry)
}

/// The terms of the glossary, each with its entry.
fn glossary() -> impl Iterator<Item = (&'static str, &'static str)> {
    let entries = GLOSSARY.match_indices("\n## ").map(|(at, _)| &GLOSSARY[at + 1..]);
    entries.filter_map(|rest| {
        let end = rest[3..].find("\n## ").map_or(rest.len(), |end| end + 3);
        let entry = rest[..end].trim_end();
        Some((entry.strip_prefix("## ")?.lines().next()?, entry))
    })
}

/// The ids that have a page.
pub fn pages() -> impl Iterator<Item = &'static str> {
    let files = ERRORS.files().chain(LINTS.files());
    files.filter_map(|file| file.path().file_stem()?.to_str()).filter(|id| *id != "README")
}

/// The terms of the glossary.
pub fn terms() -> impl Iterator<Item = &'static str> {
    glossary().map(|(term, _)| term)
}

/// Writes all shipped files below a folder. A file that is there and differs is an error before anything is written.
///
/// # Errors
/// A file would be overwritten; the file system's.
pub fn export(folder: &Path) -> anyhow::Result<usize> {
    let files = all();
    for (path, bytes) in &files {
        let to = folder.join(path);
        if std::fs::read(&to).is_ok_and(|there| there != *bytes) {
            anyhow::bail!("{} exists and differs", to.display());
        }
    }
    for (path, bytes) in &files {
        let to = folder.join(path);
        let write = || {
            std::fs::create_dir_all(to.parent().unwrap_or(folder))?;
            std::fs::write(&to, bytes)
        };
        write().with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(files.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_found_in_any_spelling_and_each_entry_has_a_text() {
        let entry = term("Retry-Budget").unwrap();
        assert!(entry.starts_with("## retry budget\n\nThe bound of a ServiceProfile"), "{entry}");
        assert!(!entry.contains("## ttl"));
        assert_eq!(term("budget"), None);
        assert!(glossary().count() > 30);
        assert!(glossary().all(|(_, entry)| entry.lines().count() >= 3));
    }

    #[test]
    fn what_is_exported_is_whole_and_never_overwrites_what_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let count = export(folder.path()).unwrap();
        for part in
            ["manifests/ingress-nginx", "linkerd/crds", "linkerd/service-profiles", "test-services/base"]
        {
            let inside = std::fs::read_dir(folder.path().join(part)).unwrap().count();
            assert!(inside > 0, "{part}");
        }
        let mine = folder.path().join("test-services/base/kustomization.yaml");
        assert_eq!(export(folder.path()).unwrap(), count, "a second time is none");
        std::fs::write(&mine, "mine").unwrap();
        let gone = folder.path().join("linkerd/namespace.yaml");
        std::fs::remove_file(&gone).unwrap();
        assert!(export(folder.path()).unwrap_err().to_string().contains("kustomization.yaml exists"));
        assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
        assert!(!gone.exists(), "something was written before the refusal");
    }
}
