//! Files and pipes that the user names, read to their end and up to a limit.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::activity::{self, Kind};
use crate::bounded;

/// The largest input in bytes. The largest file that is read this way, the output of `linkerd install`, has 100 KiB.
pub const LARGEST: u64 = 16 << 20;

/// Returns the bytes of a file or of a pipe to its end; `-` is stdin. The wait for a pipe's writer is bounded by
/// `--timeout` alone.
///
/// # Errors
/// It cannot be read, or is larger than [`LARGEST`].
pub fn any(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let _reading = activity::begin(Kind::File, "reading stdin");
        return bounded::take(io::stdin().lock(), LARGEST);
    }
    let _reading = activity::reading(path);
    bounded::take(File::open(path)?, LARGEST)
}

/// As [`any`], for text.
///
/// # Errors
/// As there; it is not UTF-8.
pub fn any_text(path: &Path) -> io::Result<String> {
    bounded::text(any(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_without_an_end_is_refused_by_its_size() {
        assert_eq!(any(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
