//! What a lab's folder has about the lab's kubeconfig entries: the id in their marks, and the file that holds them. It is
//! written before the entries, so a run that is killed in between leaves no entry that no lab owns.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::lab::files::KUBECONFIG_ENTRY;
use meshy_base::bounded::{self, Links};
use meshy_base::private;

/// The largest note in bytes: it has the id in the first line, and behind it the path of the kubeconfig, which need not be
/// UTF-8.
const LARGEST: u64 = 64 << 10;

/// How each id starts.
const PREFIX: &str = "lab-";

/// The note of one lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// What marks the lab's entries: random. It starts with letters, so that no YAML parser takes it for a number.
    pub(crate) id: String,
    /// The kubeconfig that holds them.
    pub(crate) file: PathBuf,
}

impl Note {
    /// Returns a lab's note, or `None` if the lab has put no entries into a kubeconfig.
    ///
    /// # Errors
    /// The note cannot be read, or is damaged.
    pub(crate) fn load(lab: &Path) -> anyhow::Result<Option<Self>> {
        let path = lab.join(KUBECONFIG_ENTRY);
        let note = match bounded::read(&path, LARGEST, Links::Refused) {
            Ok(bytes) => Self::parse(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        note.map(Some).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Returns the lab's note for entries in `file`, and saves it if that is new.
    ///
    /// # Errors
    /// Those of [`Note::load`]; the note cannot be written.
    pub(super) fn ensure(lab: &Path, file: &Path) -> anyhow::Result<Self> {
        let known = Self::load(lab)?;
        if let Some(known) = known.as_ref().filter(|known| known.file == file) {
            return Ok(known.clone());
        }
        let id = known.map_or_else(|| format!("{PREFIX}{:032x}", rand::random::<u128>()), |known| known.id);
        let note = Self { id, file: file.to_owned() };
        private::ensure_folder(lab)?;
        let bytes = [note.id.as_bytes(), b"\n", file.as_os_str().as_bytes()].concat();
        private::replace(&lab.join(KUBECONFIG_ENTRY), &bytes)?;
        Ok(note)
    }

    /// Removes a lab's note.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn remove(lab: &Path) -> anyhow::Result<()> {
        let path = lab.join(KUBECONFIG_ENTRY);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let id = std::str::from_utf8(&bytes[..end]).ok()?;
        let digits = id.strip_prefix(PREFIX)?;
        let valid = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let file = PathBuf::from(OsStr::from_bytes(&bytes[end + 1..]));
        (valid && file.is_absolute()).then(|| Self { id: id.to_owned(), file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_keeps_its_id_and_a_path_that_is_not_utf8() {
        let folder = tempfile::tempdir().unwrap();
        let lab = folder.path().join("lab");
        assert_eq!(Note::load(&lab).unwrap(), None);
        let file = Path::new(OsStr::from_bytes(b"/h\xFFme/config\n"));
        let first = Note::ensure(&lab, file).unwrap();
        assert_eq!(Note::load(&lab).unwrap().as_ref(), Some(&first));
        assert_eq!(first.file, file);
        let moved = Note::ensure(&lab, Path::new("/other")).unwrap();
        assert_eq!((moved.id, moved.file), (first.id, PathBuf::from("/other")));
        Note::remove(&lab).unwrap();
        Note::remove(&lab).unwrap();
        assert_eq!(Note::load(&lab).unwrap(), None);
    }

    #[test]
    fn a_damaged_note_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in ["", "\n/file", "0123", "lab-0123456789abcdef0123456789abcdef\nrelative"] {
            fs::write(folder.path().join(KUBECONFIG_ENTRY), damaged).unwrap();
            let error = Note::load(folder.path()).unwrap_err().to_string();
            assert!(error.ends_with("kubeconfig-entry is damaged"), "{error}");
        }
    }
}
