//! Checks which files and folders a kustomization may reference.
//!
//! kustomize's rule: files lie in or below the kustomization's own folder, links resolved; folders may lie anywhere but
//! never contain a folder that is being built.

use std::path::{Path, PathBuf};

use crate::error::{Error, Refusal};
use crate::source::Source;

/// Resolves paths relative to the folder that is being built.
#[derive(Clone)]
pub(crate) struct Loader<'a> {
    source: &'a dyn Source,
    root: PathBuf,
    /// The folders of the chain of references, the current one last.
    visited: Vec<PathBuf>,
}

/// The target of a path under `resources`.
pub(crate) enum Entry<'a> {
    File(PathBuf),
    Folder(Loader<'a>),
}

impl<'a> Loader<'a> {
    /// Returns the loader of the folder where a build starts.
    pub(crate) fn start(source: &'a dyn Source, dir: &Path) -> Result<Self, Error> {
        if remote(&dir.to_string_lossy()) && source.canonical(dir).is_err() {
            return Err(refused(&dir.to_string_lossy()));
        }
        let root = canonical(source, dir)?;
        folder(source, &root)?;
        Ok(Self { source, visited: vec![root.clone()], root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns how many folders are being built, including this one.
    pub(crate) fn depth(&self) -> usize {
        self.visited.len()
    }

    /// Resolves `path` to a file below this folder or to another folder.
    pub(crate) fn entry(&self, path: &str) -> Result<Entry<'a>, Error> {
        let found = self.resolve(path)?;
        if self.source.is_dir(&found) {
            self.enter(path, found).map(Entry::Folder)
        } else {
            self.confined(found).map(Entry::File)
        }
    }

    /// Returns the loader of the folder at `path`.
    pub(crate) fn folder(&self, path: &str) -> Result<Loader<'a>, Error> {
        let found = self.resolve(path)?;
        folder(self.source, &found)?;
        self.enter(path, found)
    }

    /// Returns the bytes of the file at `path`.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let found = self.resolve(path)?;
        if self.source.is_dir(&found) {
            return Err(Error::invalid(format!("`{path}` is a folder, not a file")));
        }
        self.read_found(&self.confined(found)?)
    }

    /// Returns the bytes of a file that [`entry`](Self::entry) returned.
    pub(crate) fn read_found(&self, found: &Path) -> Result<Vec<u8>, Error> {
        self.source.read(found).map_err(|reason| Error::Read { path: found.to_path_buf(), reason })
    }

    /// Returns the text of the file at `path`. Returns an error if it is not UTF-8.
    pub(crate) fn read_text(&self, path: &str) -> Result<String, Error> {
        String::from_utf8(self.read(path)?)
            .map_err(|_| Error::Parse { place: format!("`{path}`"), reason: "it is not UTF-8".to_owned() })
    }

    /// Returns whether `path` is a file in this folder.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.source.is_file(&self.root.join(path))
    }

    fn resolve(&self, path: &str) -> Result<PathBuf, Error> {
        if path.is_empty() {
            return Err(Error::invalid("an empty path is named"));
        }
        match canonical(self.source, &self.root.join(path)) {
            Err(_) if remote(path) => Err(refused(path)),
            found => found,
        }
    }

    fn confined(&self, file: PathBuf) -> Result<PathBuf, Error> {
        if file.starts_with(&self.root) {
            Ok(file)
        } else {
            Err(Error::OutsideRoot { file, root: self.root.clone() })
        }
    }

    fn enter(&self, path: &str, dir: PathBuf) -> Result<Loader<'a>, Error> {
        if Path::new(path).is_absolute() {
            return Err(Error::invalid(format!("folder `{path}` is named by an absolute path")));
        }
        if let Some(visited) = self.visited.iter().rev().find(|visited| visited.starts_with(&dir)) {
            return Err(Error::Cycle { dir, visited: visited.clone() });
        }
        let visited = self.visited.iter().cloned().chain([dir.clone()]).collect();
        Ok(Self { source: self.source, root: dir, visited })
    }
}

fn canonical(source: &dyn Source, path: &Path) -> Result<PathBuf, Error> {
    source.canonical(path).map_err(|reason| Error::Read { path: path.to_path_buf(), reason })
}

fn folder(source: &dyn Source, path: &Path) -> Result<(), Error> {
    if source.is_dir(path) {
        return Ok(());
    }
    Err(Error::Read { path: path.to_path_buf(), reason: std::io::ErrorKind::NotADirectory.into() })
}

fn refused(path: &str) -> Error {
    Error::Refused { what: format!("`{path}`"), refusal: Refusal::Remote }
}

/// Returns whether a path that does not exist looks remote to kustomize: a URL, a git address with a user, or a well-known
/// forge without a scheme.
fn remote(path: &str) -> bool {
    let scheme = path
        .split_once("://")
        .is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == ':'));
    let user = path.split_once('@').is_some_and(|(user, host)| {
        user.starts_with(|c: char| c.is_ascii_alphabetic())
            && user.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && host.contains(['/', ':'])
    });
    scheme
        || user
        || ["github.com/", "github.com:", "gh:", "git::"]
            .iter()
            .any(|forge| path.to_ascii_lowercase().starts_with(forge))
}
