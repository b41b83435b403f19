//! Reads of files with a limit: they never wait, as opening a FIFO would, and never take more bytes than the limit.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::activity;

/// Whether the last part of a path may be a symbolic link. Links in the folders before it are always followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// For a file that the user names: it may be anywhere.
    Followed,
    /// For a file of meshy's own state: a link in its place is not meshy's.
    Refused,
}

/// Returns the bytes of a regular file of at most `limit` bytes. Where links are followed, `/dev/null` is an empty file, as it
/// is for other programs.
///
/// # Errors
/// The file system's; the path leads to something else than a regular file; the file is larger.
pub fn read(path: &Path, limit: u64, links: Links) -> io::Result<Vec<u8>> {
    let _reading = activity::reading(path);
    if links == Links::Followed && is_null(&fs::metadata(path)?) {
        return Ok(Vec::new());
    }
    take(open(path, OFlags::RDONLY, links)?, limit)
}

/// As [`read`], for text.
///
/// # Errors
/// As there; it is not UTF-8.
pub fn read_text(path: &Path, limit: u64, links: Links) -> io::Result<String> {
    text(read(path, limit, links)?)
}

/// Opens a regular file, for reading where `flags` has nothing else; with [`OFlags::CREATE`] a new one is its owner's alone.
///
/// # Errors
/// The file system's; the path leads to something else than a regular file, which the error names.
pub(crate) fn open(path: &Path, flags: OFlags, links: Links) -> io::Result<File> {
    let (there, no_follow) = match links {
        Links::Followed => (fs::metadata(path), OFlags::empty()),
        Links::Refused => (fs::symlink_metadata(path), OFlags::NOFOLLOW),
    };
    match there {
        // Before it is opened: opening a device can have an effect.
        Ok(there) => ensure_regular(&there)?,
        Err(error) if error.kind() == ErrorKind::NotFound && flags.contains(OFlags::CREATE) => {}
        Err(error) => return Err(error),
    }
    let flags = flags | no_follow | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    // It may have been replaced since.
    ensure_regular(&file.metadata()?)?;
    Ok(file)
}

/// Returns what is left to read, at most `limit` bytes.
///
/// # Errors
/// The reader's; there is more.
pub(crate) fn take(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more shows that there is too much.
    from.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("larger than {}", size(limit))));
    }
    Ok(bytes)
}

pub(crate) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "the text is not UTF-8"))
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

fn ensure_regular(there: &Metadata) -> io::Result<()> {
    if there.is_file() {
        return Ok(());
    }
    let text = format!("expected a regular file, found {}", kind(there));
    Err(io::Error::new(ErrorKind::InvalidInput, text))
}

fn is_null(there: &Metadata) -> bool {
    !there.is_file() && fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == there.rdev())
}

fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;

    /// A folder with a file, a link to it, a link to a device, a FIFO and a socket, which is open as long as the second value.
    fn folder() -> (tempfile::TempDir, UnixListener) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "12345").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        symlink(path("file"), path("link")).unwrap();
        symlink("/dev/zero", path("zero")).unwrap();
        let socket = UnixListener::bind(path("socket")).unwrap();
        (folder, socket)
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_byte_more_is_refused() {
        let (folder, _socket) = folder();
        let file = folder.path().join("file");
        for links in [Links::Followed, Links::Refused] {
            assert_eq!(read(&file, 5, links).unwrap(), b"12345");
            let error = read(&file, 4, links).unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string()),
                (ErrorKind::FileTooLarge, "larger than 4 bytes".into())
            );
        }
        assert_eq!(take(io::repeat(0), 3 << 20).unwrap_err().to_string(), "larger than 3 MiB");
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_at_once_by_its_kind() {
        let (folder, _socket) = folder();
        let error = |name: PathBuf, links| read(&name, 4, links).unwrap_err().to_string();
        let expected = |kind: &str| format!("expected a regular file, found {kind}");
        for links in [Links::Followed, Links::Refused] {
            for (name, kind) in [("fifo", "a FIFO"), ("socket", "a socket"), ("", "a folder")] {
                assert_eq!(error(folder.path().join(name), links), expected(kind), "{links:?}");
            }
            assert_eq!(error("/dev/zero".into(), links), expected("a device"), "{links:?}");
        }
    }

    #[test]
    fn a_link_is_followed_to_a_file_only_where_that_is_wanted() {
        let (folder, _socket) = folder();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(read(&path("link"), 5, Links::Followed).unwrap(), b"12345");
        let error = |name: &str, links| read(&path(name), 5, links).unwrap_err().to_string();
        assert_eq!(error("zero", Links::Followed), "expected a regular file, found a device");
        for name in ["link", "zero"] {
            assert_eq!(error(name, Links::Refused), "expected a regular file, found a symbolic link");
        }
        // A dangling link is not followed to make a file elsewhere.
        symlink(path("outside"), path("dangling")).unwrap();
        assert!(open(&path("dangling"), OFlags::CREATE | OFlags::WRONLY, Links::Refused).is_err());
        assert!(!path("outside").exists());
    }

    #[test]
    fn the_null_device_is_an_empty_file_of_the_user_and_none_of_meshy() {
        assert_eq!(read(Path::new("/dev/null"), 4, Links::Followed).unwrap(), b"");
        assert!(read(Path::new("/dev/null"), 4, Links::Refused).is_err());
        let error = read(Path::new("/absent/file"), 4, Links::Followed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
