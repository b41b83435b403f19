//! Files that the user names, read without surprises: a size limit, and no wait where a pipe makes no sense.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::activity::{self, Kind};

/// The largest input in bytes. The largest file that is read this way, the output of `linkerd install`, has 100 KiB.
const LARGEST: u64 = 64 << 20;

/// Returns the bytes of a regular file.
///
/// # Errors
/// There is none, it is something else (a pipe, a device, a folder), or it is larger than 64 MiB.
pub fn regular(path: &Path) -> io::Result<Vec<u8>> {
    let _reading = activity::reading(path);
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    // Without a wait: a pipe opens at once, also without a writer.
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if is_null(&metadata) {
        return Ok(Vec::new());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    limited(file)
}

/// Returns the bytes of a file or of a pipe to its end; `-` is stdin. The wait for a pipe's writer is bounded by
/// `--timeout` alone.
///
/// # Errors
/// It cannot be read, or is larger than 64 MiB.
pub fn any(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let _reading = activity::begin(Kind::File, "reading stdin");
        return limited(io::stdin().lock());
    }
    let _reading = activity::reading(path);
    limited(File::open(path)?)
}

/// As [`any`], for text.
///
/// # Errors
/// As there; it is not UTF-8.
pub fn any_text(path: &Path) -> io::Result<String> {
    text(any(path)?)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// `/dev/null` is an empty file, as for other programs.
fn is_null(metadata: &Metadata) -> bool {
    std::fs::metadata("/dev/null").is_ok_and(|null| !metadata.is_file() && null.rdev() == metadata.rdev())
}

fn limited(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more shows that a file is too large.
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_a_device_and_a_folder_are_not_regular_files_and_the_null_device_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&*pipe, Path::new("/dev/zero"), folder.path()] {
            let error = regular(path).unwrap_err();
            assert_eq!(error.to_string(), "not a regular file", "{}", path.display());
        }
        assert_eq!(regular(Path::new("/dev/null")).unwrap(), b"");
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        assert_eq!(
            (regular(&file).unwrap(), any_text(&file).unwrap()),
            (b"text".to_vec(), "text".to_owned())
        );
    }

    #[test]
    fn an_input_without_an_end_is_refused_by_its_size() {
        assert_eq!(any(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
