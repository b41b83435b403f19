//! An archive's bytes without compression, and the list of what is in them, both with limits.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;

use super::TarballError;

/// What an archive may unpack to: so many times its size, and [`SLACK`]. Images unpack to two to four times their size; gzip
/// can do a thousand.
const MOST_TIMES: u64 = 50;

/// What each archive may unpack to, in bytes.
const SLACK: u64 = 64 << 20;

/// How many bytes of headers and long names may be read: some 60,000 entries of 512 bytes. `docker save` writes three entries
/// for each layer.
const LARGEST_LIST: u64 = 32 << 20;

const GZIP: &[u8] = b"\x1f\x8b";

/// Returns an uncompressed archive: the file itself, or an unnamed temporary one.
///
/// # Errors
/// It cannot be read or unpacked; it unpacks to more than an image, or to what is compressed again.
pub(super) fn plain(mut file: File) -> Result<File, TarballError> {
    let start = start(&mut file)?;
    if start.starts_with(GZIP) {
        return unpacked(file);
    }
    for (magic, name) in [(&b"\x28\xb5\x2f\xfd"[..], "zstd"), (b"\xfd7zXZ", "xz"), (b"BZh", "bzip2")] {
        if start.starts_with(magic) {
            return Err(TarballError::Compression(name));
        }
    }
    Ok(file)
}

fn unpacked(file: File) -> Result<File, TarballError> {
    let packed = file.metadata()?.len();
    let most = packed.saturating_mul(MOST_TIMES).saturating_add(SLACK);
    let mut plain = tempfile::tempfile()?;
    let bytes = io::copy(&mut MultiGzDecoder::new(file).take(most + 1), &mut plain)?;
    if bytes > most {
        return Err(TarballError::Bomb { packed, most });
    }
    if start(&mut plain)?.starts_with(GZIP) {
        return Err(TarballError::Nested);
    }
    Ok(plain)
}

/// The first bytes of a file, which is at its beginning afterwards.
fn start(file: &mut File) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(6).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(start)
}

/// An archive whose list is read: contents are passed over by seeking, so what is read are headers and long names.
pub(super) struct Listing<'a> {
    file: &'a File,
    left: u64,
}

impl<'a> Listing<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, left: LARGEST_LIST }
    }
}

impl Read for Listing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| {
            let text = format!("the list of its entries has more than {} MiB", LARGEST_LIST >> 20);
            io::Error::new(io::ErrorKind::FileTooLarge, text)
        })?;
        Ok(read)
    }
}

impl Seek for Listing<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
