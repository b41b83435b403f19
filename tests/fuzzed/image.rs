//! Any bytes as an image's archive: an image whose parts can be read and have their digests, or an error.

use std::sync::LazyLock;

use meshy_lab::image::tarball::Archive;
use meshy_lab::image::{Arch, Digest, Image};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

/// One archive, asked for its only image and for one by name.
pub(crate) fn case(bytes: &[u8]) {
    let bytes = &*summed(bytes);
    RUNTIME.block_on(async {
        for reference in [None, Some("my/app:v1")] {
            let Ok(archive) = Archive::from_stream(bytes).await else { return };
            if let Ok(image) = archive.image(reference, Arch::Amd64).await {
                whole(&image);
            }
        }
    });
}

/// The bytes with each header's sum over itself set right: it would keep all that was changed there from being read.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for header in bytes.as_chunks_mut::<512>().0.iter_mut().filter(|block| block[257..].starts_with(b"ustar"))
    {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

fn whole(image: &Image) {
    for blob in image.layers.iter().chain([&image.config, &image.manifest]) {
        let content = blob.read(0, u64::MAX).expect("a part is in the archive");
        assert_eq!(content.len() as u64, blob.size);
        assert_eq!(Digest::of(&content), blob.digest);
    }
}
