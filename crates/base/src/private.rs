//! Files and folders that only their owner may read.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::OFlags;

use crate::bounded::{self, Links};

/// What a temporary file of [`replace`] is called: six random characters stand between both.
const TEMPORARY: (&str, &str) = (".meshy-", ".tmp");

/// Makes a folder that only its owner can enter, and what it lies in.
///
/// # Errors
/// The file system's.
pub fn ensure_folder(folder: &Path) -> anyhow::Result<()> {
    make_folder(folder).with_context(|| format!("cannot create folder {}", folder.display()))
}

/// As [`ensure_folder`], for a caller that looks at the kind of error.
///
/// # Errors
/// The file system's.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file so that a reader, and a later command after a kill, finds the old one or the new one and never a part.
/// A new file is its owner's alone (0600), from the first byte on; one that was there keeps its mode.
///
/// # Errors
/// The file system's, with the file's path.
pub fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let mode = fs::metadata(file).map_or(0o600, |there| there.permissions().mode());
        // Gone again where anything fails.
        let mut temporary = tempfile::Builder::new();
        let temporary = temporary.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
        let mut new = temporary.tempfile_in(file.parent().unwrap_or(Path::new(".")))?;
        new.write_all(bytes)?;
        new.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// Whether a file of this name is what a killed [`replace`] leaves. Up to commit c3662c0 such a file was `.tmp` and six
/// characters.
pub fn is_temporary(name: &str) -> bool {
    let random = |text: &str| text.len() == 6 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let middle = name.strip_prefix(TEMPORARY.0).and_then(|rest| rest.strip_suffix(TEMPORARY.1));
    middle.or_else(|| name.strip_prefix(".tmp")).is_some_and(random)
}

/// Opens a regular file, for reading where `flags` has nothing else; with [`OFlags::CREATE`] a new one is its owner's alone.
/// Never waits, as opening a FIFO would, and never follows a symbolic link.
///
/// # Errors
/// The file system's; the path leads to something else than a regular file, which the error names.
pub fn open(file: &Path, flags: OFlags) -> io::Result<File> {
    bounded::open(file, flags, Links::Refused)
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

    #[test]
    fn the_temporary_files_of_this_and_the_first_version_are_known_and_no_others() {
        for ours in [".meshy-a1B2c3.tmp", ".tmpa1B2c3"] {
            assert!(is_temporary(ours), "{ours}");
        }
        for other in [
            ".tmp",
            ".tmp12345",
            ".tmp1234567",
            ".meshy-.tmp",
            ".meshy-a1B2c3",
            "a1B2c3.tmp",
            ".tmp../..",
            "",
        ] {
            assert!(!is_temporary(other), "{other}");
        }
    }
}
