//! Files and folders that only their owner may read.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

/// Makes a folder that only its owner can enter, and what it lies in.
///
/// # Errors
/// The file system's.
pub fn ensure_folder(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make folder {}", folder.display()))
}

/// Writes a file so that a reader, and whoever comes after a kill, finds the old one or the new one and never a part.
/// A new file is its owner's alone (0600), from the first byte on; one that was there keeps its mode.
///
/// # Errors
/// The file system's, with the file's path.
pub fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mode = fs::metadata(file).map_or(0o600, |there| there.permissions().mode());
        // Gone again where anything fails.
        let mut new = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
        new.write_all(bytes)?;
        new.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_private_one_that_was_there_keeps_its_mode_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        replace(&file, b"one").unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!((mode(), fs::read(&file).unwrap().as_slice()), (0o640, &b"two"[..]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = replace(Path::new("/absent/state"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot write /absent/state");
    }
}
