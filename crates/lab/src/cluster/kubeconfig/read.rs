//! Bounded reads of a kubeconfig and of the files it refers to: a read never blocks and never takes more than its limit.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use meshy_base::bounded::{self, Links};
use serde_json::Value;

/// The size that a kubeconfig, token or certificate file may have, in bytes. Kubeconfigs with thousands of clusters stay
/// below 10 MiB.
pub(crate) const LIMIT: u64 = 16 << 20;

/// Returns a file's bytes, or `None` if there is no such file. `/dev/null` is an empty file, as it is for kubectl.
///
/// # Errors
/// The file is not a regular file, is larger than [`LIMIT`], or cannot be read. Each error names the file.
pub(crate) fn bytes(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match bounded::read(path, LIMIT, Links::Followed) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Returns a file's text, or `None` if there is no such file. UTF-16 with a byte order mark is decoded, as kubectl does.
///
/// # Errors
/// Those of [`bytes`]; the text is not valid Unicode.
pub(crate) fn text(path: &Path) -> anyhow::Result<Option<String>> {
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    let text = match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => std::str::from_utf8(rest).ok().map(str::to_owned),
        all => std::str::from_utf8(all).ok().map(str::to_owned),
    };
    text.map(Some).ok_or_else(|| anyhow!("cannot read {}: the text is not valid Unicode", path.display()))
}

/// Parses the documents of a kubeconfig. Like that of [`document`], the error has no excerpt of the text, which may hold a
/// token.
///
/// # Errors
/// The text is not valid YAML.
pub(crate) fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    serde_yaml::from_multiple(text).map_err(|error| invalid(&error))
}

/// Parses a kubeconfig that has one document.
///
/// # Errors
/// The text is not valid YAML, or has several documents.
pub(super) fn document(text: &str) -> anyhow::Result<Value> {
    serde_yaml::from_str(text).map_err(|error| invalid(&error))
}

fn invalid(error: &serde_yaml::Error) -> anyhow::Error {
    anyhow!("{}", error.without_snippet()).context("the text is not valid YAML")
}

/// Returns what a file holds where it is about to be changed, or `None` if there is no such file.
///
/// # Errors
/// Those of [`bytes`]; the file is a device, or its text is not UTF-8.
pub(super) fn changeable(path: &Path) -> anyhow::Result<Option<String>> {
    // Something else is refused by `bytes`, except the null device.
    let is_null = fs::metadata(path).is_ok_and(|there| there.file_type().is_char_device());
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    anyhow::ensure!(!is_null, "cannot change {}: expected a regular file, found a device", path.display());
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| anyhow!("cannot change {}: the text is not UTF-8", path.display()))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().copied().map(unit).collect();
    rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &Path) -> String {
        format!("{:#}", text(path).unwrap_err())
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (path, kind) in [(folder.path(), "a folder"), (Path::new("/dev/zero"), "a device")] {
            let expected = format!("cannot read {}: expected a regular file, found {kind}", path.display());
            assert_eq!(error(path), expected);
        }
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_byte_more_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let file = fs::File::create(&path).unwrap();
        file.set_len(LIMIT).unwrap();
        assert_eq!(bytes(&path).unwrap().unwrap().len() as u64, LIMIT);
        file.set_len(LIMIT + 1).unwrap();
        assert_eq!(error(&path), format!("cannot read {}: larger than 16 MiB", path.display()));
    }

    #[test]
    fn a_missing_file_is_none_and_the_null_device_is_empty_and_never_changed() {
        assert_eq!(text(Path::new("/absent/config")).unwrap(), None);
        assert_eq!(text(Path::new("/dev/null")).unwrap().as_deref(), Some(""));
        let error = format!("{:#}", changeable(Path::new("/dev/null")).unwrap_err());
        assert_eq!(error, "cannot change /dev/null: expected a regular file, found a device");
    }

    #[test]
    fn an_error_about_the_syntax_shows_no_token() {
        let text = "users:\n- name: a\n  user:\n    token: SECRET\n   x\n";
        for error in [documents(text).unwrap_err(), document(text).unwrap_err()] {
            let error = format!("{error:#}");
            assert!(error.starts_with("the text is not valid YAML: ") && error.contains("line"), "{error}");
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn byte_order_marks_are_understood_for_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let little: Vec<u8> = "\u{feff}kind: ä".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}kind: ä".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for encoded in [little, big, "\u{feff}kind: ä".as_bytes().to_vec()] {
            fs::write(&path, encoded).unwrap();
            assert_eq!(text(&path).unwrap().as_deref(), Some("kind: ä"));
        }
        fs::write(&path, [0xFF, 0xFE, b'k']).unwrap();
        assert!(error(&path).contains("not valid Unicode"));
    }
}
