//! The topologies that are part of the program, and files on disk.

use std::fs;
use std::io;
use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::error::{Error, nearest};
use crate::model::Topology;

static TOPOLOGIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../topologies");

/// The most bytes of a topology file. The largest of the examples of isotope has 42 kB.
const MOST_BYTES: u64 = 4 << 20;

/// Returns name and text of each shipped topology, by name.
#[must_use]
pub fn shipped() -> Vec<(&'static str, &'static str)> {
    let files = TOPOLOGIES.files().filter_map(|file| {
        let name = file.path().file_name()?.to_str()?.strip_suffix(".yaml")?;
        Some((name, file.contents_utf8()?))
    });
    let mut all: Vec<_> = files.collect();
    all.sort_unstable();
    all
}

impl Topology {
    /// Returns a shipped topology by its name, or the topology in a file.
    ///
    /// # Errors
    ///
    /// Returns an error for a name that is neither, a file that cannot be read, and the errors of [`Topology::parse`].
    pub fn load(name_or_path: &str) -> Result<Self, Error> {
        let all = shipped();
        if let Some((name, text)) = all.iter().find(|(name, _)| *name == name_or_path) {
            return Ok(Self::parse(&format!("topologies/{name}.yaml"), text)?);
        }
        let path = Path::new(name_or_path);
        if !path.exists() && !is_path(path) {
            let near = nearest(name_or_path, all.iter().map(|(name, _)| *name));
            let name = crate::yaml::fields::shown(name_or_path);
            return Err(Error::Unknown { name, nearest: near.map(str::to_owned) });
        }
        let text = read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(Self::parse(name_or_path, &text)?)
    }
}

/// Whether a text can only be meant as the path of a file.
fn is_path(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    path.components().count() > 1 || matches!(extension, "yaml" | "yml" | "json")
}

fn read(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > MOST_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", MOST_BYTES >> 20)));
    }
    fs::read_to_string(path)
}
