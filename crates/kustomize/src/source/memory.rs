//! Trees in memory: embedded in a binary, or made by a test.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Source;

/// A tree of files under absolute paths, without links.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Cow<'static, [u8]>>,
}

impl Memory {
    /// Returns a tree without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces it. A relative path counts from `/`.
    pub fn insert(&mut self, path: impl AsRef<Path>, content: impl Into<Content>) {
        self.files.insert(clean(path.as_ref()), content.into().0);
    }
}

/// The content of a file in [`Memory`]: text or bytes, borrowed from the binary or owned.
#[derive(Debug, Clone)]
pub struct Content(Cow<'static, [u8]>);

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }
}

impl Source for Memory {
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        let path = clean(path);
        if self.files.contains_key(&path) || self.is_dir(&path) {
            return Ok(path);
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn is_dir(&self, path: &Path) -> bool {
        // Paths sort by component, so the files below a folder directly follow it.
        self.files
            .range(path.to_path_buf()..)
            .next()
            .is_some_and(|(file, _)| file != path && file.starts_with(path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).map(|bytes| bytes.to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// `path` from the root, with `.` and `..` resolved by name.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Normal(part) => cleaned.push(part),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}
