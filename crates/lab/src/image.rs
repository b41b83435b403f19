//! Container images without a container tool: made in memory, read from an archive, pushed to a registry.
//!
//! ```text
//!   build.rs ─▶ service ─▶ layer ─┐
//!                                 ├─▶ Image ─▶ registry::Client ─▶ localhost:5000/minimal-service:v1.0.0
//!   docker save, OCI layout ─▶ tarball
//! ```

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub mod elf;
pub mod layer;
pub mod manifest;
pub mod registry;
pub mod service;
pub mod tarball;

pub use elf::Arch;

/// The name of some bytes: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

/// Some bytes, their name and kind: a manifest, a configuration, a layer.
#[derive(Clone, Debug)]
pub struct Blob {
    /// What the bytes are.
    pub media_type: String,
    /// Their name.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    content: Content,
}

/// Where bytes are: small ones in memory, an archive's layers in its file.
#[derive(Clone, Debug)]
enum Content {
    Memory(Bytes),
    File { file: Arc<File>, offset: u64 },
}

/// An image of one platform, whole.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest: names the others.
    pub manifest: Blob,
    /// What it runs, and as whom.
    pub config: Blob,
    /// The file system's layers, lowest first.
    pub layers: Vec<Blob>,
}

impl Digest {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::default();
        digester.update(bytes);
        digester.finish()
    }

    /// A name as text, if it is one. Only SHA-256, as registries and engines use it.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (hex.len() == 64 && hex.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names bytes that come in pieces.
#[derive(Default)]
pub(crate) struct Digester(Sha256);

impl Digester {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        let hex: String = self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Digest(format!("sha256:{hex}"))
    }
}

impl Blob {
    /// Bytes in memory.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            media_type: media_type.into(),
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            content: Content::Memory(bytes),
        }
    }

    /// A part of a file whose name is known.
    pub(crate) fn in_file(media_type: &str, digest: Digest, file: Arc<File>, offset: u64, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, content: Content::File { file, offset } }
    }

    /// Up to `most` bytes from `from` on. Blocks where they are in a file.
    ///
    /// # Errors
    /// As reading the file; one that was cut short meanwhile gives `UnexpectedEof`.
    pub fn read(&self, from: u64, most: u64) -> io::Result<Bytes> {
        let from = from.min(self.size);
        let length = most.min(self.size - from) as usize;
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.slice(from as usize..from as usize + length)),
            Content::File { file, offset } => {
                let mut piece = vec![0; length];
                file.read_exact_at(&mut piece, offset + from)?;
                Ok(piece.into())
            }
        }
    }
}

impl Image {
    /// What a reference by digest ends with.
    pub fn digest(&self) -> &Digest {
        &self.manifest.digest
    }

    /// Bytes of the whole image as a registry keeps it.
    pub fn size(&self) -> u64 {
        let blobs = self.layers.iter().chain([&self.config, &self.manifest]);
        blobs.map(|blob| blob.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha256_in_lower_case_and_nothing_else() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        assert_eq!(Digest::parse(empty), Some(Digest::of(b"")));
        for wrong in ["", "sha256:", &empty[1..], &empty.to_uppercase(), &format!("{empty}0"), "sha512:00"] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_blob_gives_its_pieces_and_never_more() {
        let blob = Blob::new("text/plain", "0123456789");
        assert_eq!(blob.read(0, 4).unwrap(), "0123");
        assert_eq!(blob.read(8, 4).unwrap(), "89");
        assert_eq!(blob.read(10, 4).unwrap(), "");
        assert_eq!(blob.read(99, 4).unwrap(), "");
    }
}
