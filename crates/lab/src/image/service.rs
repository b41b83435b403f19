//! The test service's image, made of the program that the build embedded.

use std::collections::BTreeMap;
use std::io;

use super::layer::{self, Entry};
use super::manifest::{CONFIG, Configuration, RootFs, Runtime};
use super::{Arch, Blob, Image};

/// The repository it is pushed to, as the overlays name it.
pub const NAME: &str = "minimal-service";
/// The tag it gets, as the overlays name it.
pub const TAG: &str = "v1.0.0";

/// A user id that no user has; the number that other images without users have made usual.
const USER: &str = "65532:65532";

#[cfg(embedded_service)]
const EMBEDDED: Result<&[u8], &str> = Ok(include_bytes!(env!("MESHY_SERVICE")));
#[cfg(not(embedded_service))]
const EMBEDDED: Result<&[u8], &str> = Err(env!("MESHY_NO_SERVICE"));

/// The static program of the test service that this binary carries.
///
/// # Errors
/// The reason, as an end to "this meshy contains no test service: ", when the build could not make one.
pub fn binary() -> Result<&'static [u8], &'static str> {
    EMBEDDED
}

impl Image {
    /// An image that holds nothing but this static program and runs it as user 65532, on ports 9090 and 9091.
    ///
    /// The same program gives the same image, to the byte.
    pub fn for_service(program: &[u8], arch: Arch) -> Self {
        let packed = layer::pack(&[Entry { path: NAME, bytes: program, executable: true }]);
        let layer = packed.unwrap_or_else(|error: io::Error| unreachable!("write to memory: {error}"));
        let config = Configuration {
            created: "1970-01-01T00:00:00Z",
            architecture: arch.name(),
            os: "linux",
            config: Runtime {
                user: USER,
                exposed_ports: ["9090/tcp", "9091/tcp"].map(|port| (port, BTreeMap::new())).into(),
                // Long enough for endpoints to be withdrawn from each node, so that a rolling update loses no request.
                env: vec!["DRAIN_SECONDS=2"],
                entrypoint: vec!["/minimal-service"],
                labels: [("org.opencontainers.image.title", NAME), ("org.opencontainers.image.version", TAG)]
                    .into(),
            },
            rootfs: RootFs { kind: "layers", diff_ids: vec![layer.diff_id] },
        };
        let config = Blob::new(CONFIG, serde_json::to_vec(&config).expect("text and numbers"));
        Self::assemble(config, vec![layer.blob])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(blob: &Blob) -> Value {
        serde_json::from_slice(&blob.read(0, u64::MAX).unwrap()).unwrap()
    }

    #[test]
    fn the_configuration_is_this_one() {
        let image = Image::for_service(b"program", Arch::Arm64);
        let expected = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "arm64",
            "os": "linux",
            "config": {
                "User": "65532:65532",
                "ExposedPorts": {"9090/tcp": {}, "9091/tcp": {}},
                "Env": ["DRAIN_SECONDS=2"],
                "Entrypoint": ["/minimal-service"],
                "Labels": {
                    "org.opencontainers.image.title": "minimal-service",
                    "org.opencontainers.image.version": "v1.0.0",
                },
            },
            // Recorded. Another one here means that the next release pushes a new layer for an unchanged program.
            "rootfs": {"type": "layers", "diff_ids": ["sha256:194698999cf29ec3ed9c75901291c64cd53963c738fa7ca06cccf4cd940bcb01"]},
        });
        assert_eq!(parsed(&image.config), expected);
    }

    #[test]
    fn the_manifest_names_configuration_and_layer() {
        let image = Image::for_service(b"program", Arch::Amd64);
        let expected = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": image.config.digest,
                "size": image.config.size,
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": image.layers[0].digest,
                "size": image.layers[0].size,
            }],
        });
        assert_eq!(parsed(&image.manifest), expected);
    }

    #[test]
    fn the_same_program_gives_the_same_image() {
        let image = || Image::for_service(b"program", Arch::Amd64);
        assert_eq!(image().digest(), image().digest());
        assert_ne!(image().digest(), Image::for_service(b"another", Arch::Amd64).digest());
    }

    // Only where there is one: MESHY_EMBED_SERVICE=1 cargo test, or a release's tests.
    #[cfg(embedded_service)]
    #[test]
    fn the_embedded_program_is_static_and_its_image_small() {
        let program = binary().unwrap();
        let arch = Arch::of_static(program).unwrap();
        assert_eq!(Some(arch), Arch::here());
        assert!(Image::for_service(program, arch).size() < 3 << 20);
    }
}
