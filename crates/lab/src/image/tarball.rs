//! Images out of archives: what `docker save` writes (an engine sends the same) and OCI layouts.
//!
//! An archive may be gigabytes, so layers stay in its file and only their places are remembered.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{Arch, Digest, Digester, Image};

mod docker;
mod layout;
mod plain;

/// JSON of an archive is read into memory up to this size, as registries limit manifests.
const LARGEST_JSON: u64 = 4 << 20;

/// Links are followed this often; engines of old wrote one for a layer that appears twice.
const LINKS: usize = 8;

/// The most layers of an image. Docker's limit is 127.
const MOST_LAYERS: usize = 512;

/// Why an archive gives no image.
#[derive(Debug, Error)]
pub enum TarballError {
    /// The file could not be read, or is not a tar archive.
    #[error("read the archive: {0}")]
    Io(#[from] io::Error),
    /// It unpacks to more than any image.
    #[error("the archive of {packed} bytes unpacks to more than {most} bytes")]
    Bomb {
        /// The size of the archive.
        packed: u64,
        /// What it may unpack to.
        most: u64,
    },
    /// It is compressed twice.
    #[error("the archive is compressed more than once\nhint: uncompress it first")]
    Nested,
    /// It is compressed in a way that is not undone here.
    #[error("the archive is compressed with {0}\nhint: uncompress it first")]
    Compression(&'static str),
    /// It has neither `manifest.json` nor `index.json`.
    #[error(
        "the archive is neither of `docker save` nor an OCI layout: it has no manifest.json and no index.json"
    )]
    NoImage,
    /// It has several, and none or more than one of them was meant.
    #[error("the archive has several images: {}\nhint: name one of them", .0.join(", "))]
    Several(Vec<String>),
    /// It does not have the requested one.
    #[error("the archive has no image `{asked}`, only: {}", .there.join(", "))]
    Absent {
        /// What was requested.
        asked: String,
        /// What is there.
        there: Vec<String>,
    },
    /// A file that another one names is not there.
    #[error("the archive does not contain `{0}`")]
    Lacks(String),
    /// A file does not follow the format.
    #[error("read `{path}` of the archive: {reason}")]
    Broken {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file's bytes do not have the digest in its name.
    #[error("check `{path}` of the archive: its bytes have the digest {found}")]
    Digest {
        /// The file.
        path: String,
        /// The digest of its bytes.
        found: Digest,
    },
}

/// An open archive.
#[derive(Debug)]
pub struct Archive {
    file: Arc<File>,
    entries: HashMap<String, Entry>,
}

/// Where something is in the archive.
#[derive(Clone, Debug)]
enum Entry {
    File { offset: u64, size: u64 },
    Link(String),
}

impl Archive {
    /// Opens an archive, compressed with gzip or not.
    ///
    /// # Errors
    /// When it cannot be read or is not a tar archive.
    pub async fn open(path: &Path) -> Result<Self, TarballError> {
        let path = path.to_owned();
        blocking(move || Self::of_file(File::open(path)?)).await
    }

    /// Takes an archive from a stream, as an engine sends one: into an unnamed temporary file first, since the layers
    /// come before the list of those that belong to the image.
    ///
    /// # Errors
    /// When the stream breaks, the disk is full, or it is not a tar archive.
    pub async fn from_stream(stream: impl AsyncRead) -> Result<Self, TarballError> {
        let mut file = tokio::fs::File::from_std(tempfile::tempfile()?);
        let mut stream = std::pin::pin!(stream);
        let mut piece = vec![0; 256 << 10];
        loop {
            let read = stream.read(&mut piece).await?;
            if read == 0 {
                break;
            }
            file.write_all(&piece[..read]).await?;
        }
        file.flush().await?;
        let file = file.into_std().await;
        blocking(move || Self::of_file(file)).await
    }

    /// The image that a reference names, or the only one there is. Of an image for several platforms that of `arch`.
    ///
    /// Layers are read once to know or to check their digests.
    ///
    /// # Errors
    /// When there is no such image or its parts are not what they should be.
    pub async fn image(self, reference: Option<&str>, arch: Arch) -> Result<Image, TarballError> {
        let reference = reference.map(str::to_owned);
        blocking(move || {
            // What engines write today is both at once; Docker's list is the one that also has the images' names.
            if self.entries.contains_key("manifest.json") {
                docker::image(&self, reference.as_deref())
            } else if self.entries.contains_key("index.json") {
                layout::image(&self, reference.as_deref(), arch)
            } else {
                Err(TarballError::NoImage)
            }
        })
        .await
    }

    fn of_file(file: File) -> Result<Self, TarballError> {
        let file = plain::plain(file)?;
        let mut entries = HashMap::new();
        let mut archive = tar::Archive::new(plain::Listing::new(&file));
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let path = clean(&entry.path()?.to_string_lossy());
            let kind = entry.header().entry_type();
            if kind.is_file() {
                entries.insert(path, Entry::File { offset: entry.raw_file_position(), size: entry.size() });
            } else if let Some(target) =
                entry.link_name()?.filter(|_| kind.is_symlink() || kind.is_hard_link())
            {
                let target = target.to_string_lossy();
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                // A hard link's target is a path of the archive, a symbolic one's is relative to its own folder.
                let target =
                    if kind.is_hard_link() { clean(&target) } else { clean(&format!("{folder}/{target}")) };
                entries.insert(path, Entry::Link(target));
            }
        }
        Ok(Self { file: Arc::new(file), entries })
    }

    /// Where a file's bytes are.
    fn place(&self, path: &str) -> Result<(u64, u64), TarballError> {
        let mut at = clean(path);
        for _ in 0..LINKS {
            match self.entries.get(&at) {
                Some(Entry::File { offset, size }) => return Ok((*offset, *size)),
                Some(Entry::Link(target)) => at = target.clone(),
                None => break,
            }
        }
        Err(TarballError::Lacks(path.to_owned()))
    }

    /// A small file, whole.
    fn small(&self, path: &str) -> Result<Vec<u8>, TarballError> {
        let (offset, size) = self.place(path)?;
        if size > LARGEST_JSON {
            let reason = format!("it has {size} bytes, more than {LARGEST_JSON}");
            return Err(TarballError::Broken { path: path.to_owned(), reason });
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn json<T: for<'a> serde::Deserialize<'a>>(&self, path: &str) -> Result<T, TarballError> {
        let broken = |error: serde_json::Error| TarballError::Broken {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        serde_json::from_slice(&self.small(path)?).map_err(broken)
    }

    /// Checks how many layers an image has: each is read once.
    fn check_layers(&self, path: &str, layers: usize) -> Result<(), TarballError> {
        if layers <= MOST_LAYERS {
            return Ok(());
        }
        let reason = format!("the image has {layers} layers, more than {MOST_LAYERS}");
        Err(TarballError::Broken { path: path.to_owned(), reason })
    }

    /// The digest of a part of the archive's file.
    fn digest(&self, offset: u64, size: u64) -> io::Result<Digest> {
        let mut digester = Digester::default();
        let mut piece = vec![0; 1 << 20];
        let mut done = 0;
        while done < size {
            let length = piece.len().min((size - done) as usize);
            self.file.read_exact_at(&mut piece[..length], offset + done)?;
            digester.update(&piece[..length]);
            done += length as u64;
        }
        Ok(digester.finish())
    }
}

/// A path without `.`, `..` and doubled slashes; nothing is ever unpacked by it, it is only a key.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TarballError> + Send + 'static,
) -> Result<T, TarballError> {
    tokio::task::spawn_blocking(work).await.expect("reading an archive does not panic")
}

#[cfg(test)]
mod tests;
