//! Trees on the disk.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Source;

/// The file system. The loader, not this type, checks which files a kustomization may reference.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

/// The largest file read: the API server rejects objects above 3 MiB, so a larger file is not a manifest.
const MAX_FILE: u64 = 64 * 1024 * 1024;

impl Source for Disk {
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn is_file(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|found| !found.is_dir())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Before it is opened: opening a pipe waits for its writer.
        regular(&std::fs::metadata(path)?)?;
        let file = std::fs::File::open(path)?;
        // Room for all of it at once, and for the read that finds the end.
        let length = file.metadata().map_or(0, |metadata| metadata.len().min(MAX_FILE));
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
        // Reads one byte more than the limit to detect larger files: a file may grow while it is read.
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
        }
        Ok(bytes)
    }
}

/// Refuses a pipe, a device and a socket, whose content does not stand in the tree.
fn regular(found: &std::fs::Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}
