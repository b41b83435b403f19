//! Files and folders that only their owner may read.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{Mode, OFlags};

/// What a temporary file of [`replace`] is called: six random characters stand between both.
const TEMPORARY: (&str, &str) = (".meshy-", ".tmp");

/// Makes a folder that only its owner can enter, and what it lies in.
///
/// # Errors
/// The file system's.
pub fn ensure_folder(folder: &Path) -> anyhow::Result<()> {
    make_folder(folder).with_context(|| format!("cannot make folder {}", folder.display()))
}

/// As [`ensure_folder`], for a caller that looks at the kind of error.
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

/// Opens a regular file, for reading where `flags` says nothing else; with [`OFlags::CREATE`] a new one is its owner's alone.
/// Never waits, as opening a FIFO would, and never follows a symbolic link.
///
/// # Errors
/// The file system's; the path leads to something else than a regular file, which the error names.
pub fn open(file: &Path, flags: OFlags) -> io::Result<File> {
    match fs::symlink_metadata(file) {
        Ok(there) => ensure_regular(&there)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && flags.contains(OFlags::CREATE) => {}
        Err(error) => return Err(error),
    }
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(file, flags, Mode::RUSR | Mode::WUSR)?);
    // It may have been replaced since.
    ensure_regular(&file.metadata()?)?;
    Ok(file)
}

/// Returns the bytes of a regular file of at most `limit` bytes, opened as by [`open`].
///
/// # Errors
/// As [`open`]; the file is larger.
pub fn read(file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(file, OFlags::RDONLY)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

fn ensure_regular(there: &Metadata) -> io::Result<()> {
    if there.is_file() {
        return Ok(());
    }
    Err(io::Error::other(format!("it is {}, expected a regular file", kind(there))))
}

/// Returns what kind of file something is, for an error.
pub fn kind(there: &Metadata) -> &'static str {
    let kind = there.file_type();
    match () {
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () if kind.is_file() => "a regular file",
        () => "a device",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

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

    #[test]
    fn only_regular_files_are_read_at_once_and_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "12345").unwrap();
        assert_eq!(read(&path("file"), 5).unwrap(), b"12345");
        let error = |name: &str| read(&path(name), 4).unwrap_err().to_string();
        assert_eq!(error("file"), "it is larger than 4 bytes");
        // Reading one of these would wait for ever, or see a file outside the folder.
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        symlink(path("file"), path("link")).unwrap();
        symlink("/dev/zero", path("zero")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        assert_eq!(error("fifo"), "it is a FIFO, expected a regular file");
        assert_eq!(error("link"), "it is a symbolic link, expected a regular file");
        assert_eq!(error("zero"), "it is a symbolic link, expected a regular file");
        assert_eq!(error("socket"), "it is a socket, expected a regular file");
        assert_eq!(
            read(folder.path(), 4).unwrap_err().to_string(),
            "it is a folder, expected a regular file"
        );
        assert_eq!(
            read(Path::new("/dev/zero"), 4).unwrap_err().to_string(),
            "it is a device, expected a regular file"
        );
        // A dangling link is not followed to make a file elsewhere.
        symlink(path("outside"), path("dangling")).unwrap();
        assert!(open(&path("dangling"), OFlags::CREATE | OFlags::WRONLY).is_err());
        assert!(!path("outside").exists());
    }
}
