//! A layer: files as a compressed tar archive, the same bytes every time.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::manifest::LAYER;
use super::{Blob, Digest};

/// A file of a layer. It belongs to root, has no time, and no user may change it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its path, without the leading slash.
    pub path: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Whether it can be run.
    pub executable: bool,
}

/// A layer and the name of what it holds uncompressed, for the configuration.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The compressed archive.
    pub blob: Blob,
    /// The digest of the archive before compression.
    pub diff_id: Digest,
}

/// Packs files in the order given.
///
/// # Errors
/// When a path is longer than tar can hold.
pub(crate) fn pack(entries: &[Entry<'_>]) -> io::Result<Layer> {
    let archive = archive(entries)?;
    // No name and no time in the gzip header either: an unchanged layer has to keep its digest.
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(&archive)?;
    Ok(Layer { blob: Blob::new(LAYER, gzip.finish()?), diff_id: Digest::of(&archive) })
}

fn archive(entries: &[Entry<'_>]) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(if entry.executable { 0o555 } else { 0o444 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(entry.bytes.len() as u64);
        builder.append_data(&mut header, entry.path, entry.bytes)?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    const PROGRAM: Entry<'_> = Entry { path: "program", bytes: b"bytes", executable: true };

    #[test]
    fn the_same_files_give_the_same_layer_and_others_another() {
        let layer = pack(&[PROGRAM]).unwrap();
        assert_eq!(pack(&[PROGRAM]).unwrap().blob.digest, layer.blob.digest);
        let other = Entry { bytes: b"other", ..PROGRAM };
        assert_ne!(pack(&[other]).unwrap().blob.digest, layer.blob.digest);
    }

    #[test]
    fn the_layer_unpacks_to_its_files() {
        let layer = pack(&[PROGRAM, Entry { path: "etc/text", bytes: b"text", executable: false }]).unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(&*layer.blob.read(0, u64::MAX).unwrap()).read_to_end(&mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes), layer.diff_id);
        let mut archive = tar::Archive::new(&*bytes);
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let owner = (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
                assert_eq!(owner, (0, 0, 0));
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), entry.size())
            })
            .collect();
        assert_eq!(seen, [("program".to_owned(), 0o555, 5), ("etc/text".to_owned(), 0o444, 4)]);
    }
}
