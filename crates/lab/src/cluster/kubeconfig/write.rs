//! Replacing a kubeconfig: a reader, and a later command after a kill, finds the old file or the new one. Mode and owner stay.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What the name of the new file has in addition until it replaces the old one.
pub(super) const NEW: &str = ".meshy-new";

/// Writes a kubeconfig. The caller holds its lock. A new file is readable by its owner only.
///
/// # Errors
/// The file cannot be written, or not with its owner; it has another hard link, which would keep the old text.
pub(super) fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let new = next_to(file, NEW);
    let written = write(file, &new, text);
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the path next to a file whose name has `suffix` in addition.
pub(super) fn next_to(file: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(suffix);
    path.into()
}

fn write(file: &Path, new: &Path, text: &str) -> anyhow::Result<()> {
    let old = match fs::metadata(file) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let mut output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    if let Some(old) = &old {
        anyhow::ensure!(old.nlink() == 1, "the file has {} hard links", old.nlink());
        let owner = output.metadata()?;
        if (owner.uid(), owner.gid()) != (old.uid(), old.gid()) {
            fchown(&output, Some(old.uid()), Some(old.gid())).context("cannot keep the owner of the file")?;
        }
        output.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    }
    output.write_all(text.as_bytes())?;
    output.sync_all()?;
    fs::rename(new, file)?;
    // Without this a power cut may bring the old file back; a folder that cannot be synced is not a reason to fail.
    let _ = file.parent().map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_and_owner_stay_and_a_new_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let state = || {
            let found = fs::metadata(&file).unwrap();
            (found.mode() & 0o7777, found.uid(), found.gid())
        };
        replace(&file, "one").unwrap();
        assert_eq!(state().0, 0o600);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        // Only root may give a file away; others see that nothing changes.
        let _ = std::os::unix::fs::chown(&file, Some(12345), Some(54321));
        let before = state();
        replace(&file, "two").unwrap();
        assert_eq!(state(), before);
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_with_a_second_hard_link_is_not_split() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("config"), folder.path().join("other"));
        fs::write(&file, "one").unwrap();
        fs::hard_link(&file, &other).unwrap();
        let error = format!("{:#}", replace(&file, "two").unwrap_err());
        assert!(error.contains("cannot write") && error.ends_with("the file has 2 hard links"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
