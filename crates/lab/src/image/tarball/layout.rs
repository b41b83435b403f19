//! The OCI image layout: `index.json` names manifests, all blobs lie under `blobs/sha256`.

use std::collections::HashMap;

use serde::Deserialize;

use super::super::manifest::{
    DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, INDEX, MANIFEST, Manifest, Platform,
};
use super::super::{Arch, Blob, Digest, Image};
use super::docker::full;
use super::{Archive, TarballError};

/// Indexes in indexes; tools write at most two.
const DEPTH: usize = 4;

/// Where containerd and buildkit put an image's whole name, the specification's annotation having only the tag.
const WHOLE_NAME: &str = "io.containerd.image.name";
const TAG: &str = "org.opencontainers.image.ref.name";

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

/// The image of a name with the layout's own manifest, whose digest it keeps.
pub(super) fn image(archive: &Archive, reference: Option<&str>, arch: Arch) -> Result<Image, TarballError> {
    let index: Index = archive.json("index.json")?;
    let mut descriptor = choose(index.manifests, reference)?;
    for _ in 0..DEPTH {
        match descriptor.media_type.as_str() {
            MANIFEST | DOCKER_MANIFEST => return of_manifest(archive, &descriptor),
            INDEX | DOCKER_INDEX => descriptor = of_platform(archive, &descriptor, arch)?,
            other => return Err(broken(&path(&descriptor.digest), &format!("`{other}` is not an image"))),
        }
    }
    Err(broken("index.json", &"its indexes do not come to an end"))
}

fn of_manifest(archive: &Archive, descriptor: &Descriptor) -> Result<Image, TarballError> {
    let manifest = checked(archive, descriptor)?;
    let path = path(&descriptor.digest);
    let parts: Manifest =
        serde_json::from_slice(&archive.small(&path)?).map_err(|error| broken(&path, &error))?;
    archive.check_layers(&path, parts.layers.len())?;
    let config = checked(archive, &parts.config)?;
    let layers = parts.layers.iter().map(|layer| checked(archive, layer)).collect::<Result<_, _>>()?;
    Ok(Image { manifest, config, layers })
}

fn of_platform(archive: &Archive, descriptor: &Descriptor, arch: Arch) -> Result<Descriptor, TarballError> {
    checked(archive, descriptor)?;
    let path = path(&descriptor.digest);
    let index: Index = archive.json(&path)?;
    let runs = |platform: &Platform| platform.os == "linux" && platform.architecture == arch.name();
    let several = index.manifests.len() > 1;
    let mut fitting = index.manifests.into_iter().map(|named| named.descriptor);
    // An index of one may leave the platform out.
    let found = fitting.find(|one| one.platform.as_ref().map_or(!several, runs));
    found.ok_or_else(|| broken(&path, &format!("it has no image for linux/{}", arch.name())))
}

/// A blob whose size and digest are those of the reference.
fn checked(archive: &Archive, descriptor: &Descriptor) -> Result<Blob, TarballError> {
    let Some(digest) = Digest::parse(descriptor.digest.as_str()) else {
        return Err(broken("index.json", &format!("`{}` is not a SHA-256 digest", descriptor.digest)));
    };
    let path = path(&digest);
    let (offset, size) = archive.place(&path)?;
    let found = archive.digest(offset, size)?;
    if found != digest {
        return Err(TarballError::Digest { path, found });
    }
    Ok(Blob::in_file(&descriptor.media_type, digest, archive.file.clone(), offset, size))
}

fn choose(manifests: Vec<Named>, reference: Option<&str>) -> Result<Descriptor, TarballError> {
    let name = |named: &Named| -> String {
        let annotation = named.annotations.get(WHOLE_NAME).or_else(|| named.annotations.get(TAG));
        annotation.cloned().unwrap_or_else(|| named.descriptor.digest.to_string())
    };
    let there: Vec<String> = manifests.iter().map(name).collect();
    match reference {
        None if manifests.len() > 1 => Err(TarballError::Several(there)),
        None => manifests.into_iter().next().map(|named| named.descriptor).ok_or(TarballError::NoImage),
        Some(asked) => {
            // A layout often knows its image's tag only, or nothing: then the only one is meant.
            let bare = manifests.len() == 1 && !manifests[0].annotations.contains_key(WHOLE_NAME);
            let found = manifests.into_iter().find(|named| bare || full(&name(named)) == full(asked));
            let absent = TarballError::Absent { asked: asked.to_owned(), there };
            found.map(|named| named.descriptor).ok_or(absent)
        }
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/{}", digest.as_str().replacen(':', "/", 1))
}

fn broken(path: &str, reason: &dyn ToString) -> TarballError {
    TarballError::Broken { path: path.to_owned(), reason: reason.to_string() }
}
