//! The sources of the files of a tree.

mod disk;
mod memory;

use std::io;
use std::path::{Path, PathBuf};

pub use disk::Disk;
pub use memory::{Content, Memory};

/// A place to read a tree from: the disk, or a tree inside the binary.
pub trait Source {
    /// Returns the canonical path of `path`: absolute, without links, `.` and `..`.
    ///
    /// # Errors
    ///
    /// Returns an error if `path` does not exist.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;

    /// Returns whether `path`, which is canonical, is a folder.
    fn is_dir(&self, path: &Path) -> bool;

    /// Returns whether `path` is a file, following links.
    fn is_file(&self, path: &Path) -> bool {
        self.canonical(path).is_ok_and(|found| !self.is_dir(&found))
    }

    /// Returns the bytes of the file at `path`, which is canonical.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}
