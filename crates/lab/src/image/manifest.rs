//! Manifest and configuration of an image, after the OCI image specification 1.1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Blob, Digest, Image};

/// An image manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A list of manifests, one a platform.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's own manifest, of the same form.
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's own list.
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer, compressed with gzip.
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer, compressed with zstd.
pub(crate) const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// A layer, not compressed.
pub(crate) const LAYER_PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

/// A reference to a blob.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// In an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image of an index runs on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Platform {
    /// Go's name of the processor.
    pub architecture: String,
    /// `linux`, here.
    pub os: String,
}

/// The manifest's JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u8,
    /// The media type of a manifest; older files leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// The index's JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u8,
    /// The manifests, or further indexes.
    pub manifests: Vec<Descriptor>,
}

/// The configuration's JSON, as far as the test service's image needs it.
#[derive(Clone, Debug, Serialize)]
pub struct Configuration {
    /// A fixed time: the same program has to give the same image.
    pub created: &'static str,
    /// Go's name of the processor.
    pub architecture: &'static str,
    /// `linux`.
    pub os: &'static str,
    /// What to run.
    pub config: Runtime,
    /// What it runs on.
    pub rootfs: RootFs,
}

/// What a container of the image runs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Runtime {
    /// User and group, as numbers: an image of nothing else has no names.
    pub user: &'static str,
    /// `9090/tcp` and so on.
    pub exposed_ports: BTreeMap<&'static str, BTreeMap<(), ()>>,
    /// Variables.
    pub env: Vec<&'static str>,
    /// The program.
    pub entrypoint: Vec<&'static str>,
    /// What it is, for people who look.
    pub labels: BTreeMap<&'static str, &'static str>,
}

/// The layers, uncompressed.
#[derive(Clone, Debug, Serialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Their digests, lowest first.
    pub diff_ids: Vec<Digest>,
}

impl Descriptor {
    /// The reference to a blob.
    pub fn of(blob: &Blob) -> Self {
        let (media_type, digest) = (blob.media_type.clone(), blob.digest.clone());
        Self { media_type, digest, size: blob.size, platform: None }
    }
}

impl Image {
    /// Puts a manifest over a configuration and layers.
    pub fn assemble(config: Blob, layers: Vec<Blob>) -> Self {
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config: Descriptor::of(&config),
            layers: layers.iter().map(Descriptor::of).collect(),
        };
        let bytes = serde_json::to_vec(&manifest).expect("text and numbers");
        Self { manifest: Blob::new(MANIFEST, bytes), config, layers }
    }
}
