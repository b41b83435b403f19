//! The files that meshy ships, inside the program: a bare name means one of these, a path means the disk.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use include_dir::{Dir, DirEntry, include_dir};

static BASE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/test-services/base");
static OVERLAYS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/test-services/overlays");
static ERRORS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs/errors");
static LINTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs/lint");
static LINKERD: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/linkerd");

/// Where each part lies in the repository, and in what `files export` writes.
static PARTS: &[(&str, &Dir<'_>)] =
    &[("test-services/base", &BASE), ("test-services/overlays", &OVERLAYS), ("linkerd", &LINKERD)];

/// The folder that holds the overlays.
pub const OVERLAY_FOLDER: &str = "test-services/overlays";

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

/// The page of an error or of a lint finding.
pub fn page(id: &str) -> Option<&'static str> {
    let name = format!("{id}.md");
    [&ERRORS, &LINTS].into_iter().find_map(|pages| pages.get_file(&name)?.contents_utf8())
}

/// The ids that have a page.
pub fn pages() -> impl Iterator<Item = &'static str> {
    let files = ERRORS.files().chain(LINTS.files());
    files.filter_map(|file| file.path().file_stem()?.to_str()).filter(|id| *id != "README")
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
            anyhow::bail!("{} is there and differs", to.display());
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
