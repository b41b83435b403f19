//! Where a tree's files come from.

mod disk;
mod memory;

use std::io;
use std::path::{Path, PathBuf};

pub use disk::Disk;
pub use memory::{Content, Memory};

/// A place to read a tree from: the disk, or a tree inside the binary.
pub trait Source {
    /// The one true path of `path`: absolute, without links, `.` and `..`.
    ///
    /// # Errors
    ///
    /// When nothing is there.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;

    /// Whether a folder is at `path`, which is canonical.
    fn is_dir(&self, path: &Path) -> bool;

    /// Whether a file is at `path`, links followed.
    fn is_file(&self, path: &Path) -> bool {
        self.canonical(path).is_ok_and(|found| !self.is_dir(&found))
    }

    /// The bytes of the file at `path`, which is canonical.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}
