use std::io::Write;

use serde_json::{Value, json};

use super::super::manifest::{CONFIG, INDEX, LAYER, LAYER_PLAIN, MANIFEST};
use super::*;

/// An archive under construction.
struct Draft(tar::Builder<Vec<u8>>);

impl Draft {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.0.append_data(&mut header, path, bytes).unwrap();
        self
    }

    fn json(self, path: &str, value: &Value) -> Self {
        self.file(path, &serde_json::to_vec(value).unwrap())
    }

    /// A blob of a layout, named after its bytes.
    fn blob(self, bytes: &[u8]) -> Self {
        let path = format!("blobs/{}", Digest::of(bytes).as_str().replacen(':', "/", 1));
        self.file(&path, bytes)
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    async fn image(self, reference: Option<&str>) -> Result<Image, TarballError> {
        Archive::from_stream(&*self.bytes()).await?.image(reference, Arch::Amd64).await
    }
}

fn saved() -> Draft {
    Draft::new()
        .file("aaa/layer.tar", b"lower layer")
        .link("bbb/layer.tar", "../aaa/layer.tar")
        .file("conf.json", b"{}")
        .json(
            "manifest.json",
            &json!([{
                "Config": "conf.json",
                "RepoTags": ["my/app:v1"],
                "Layers": ["aaa/layer.tar", "bbb/layer.tar"],
            }]),
        )
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

fn manifest(layer: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, b"{}"),
        "layers": [descriptor(LAYER, layer)],
    }))
    .unwrap()
}

#[tokio::test]
async fn a_saved_image_is_taken_with_its_linked_layer() {
    let image = saved().image(None).await.unwrap();
    assert_eq!(image.layers.len(), 2);
    for layer in &image.layers {
        assert_eq!((layer.media_type.as_str(), &layer.digest), (LAYER_PLAIN, &Digest::of(b"lower layer")));
        assert_eq!(layer.read(0, 100).unwrap(), "lower layer");
    }
    assert_eq!(image.config.digest, Digest::of(b"{}"));
}

#[tokio::test]
async fn an_image_is_found_by_the_names_that_docker_takes_for_the_same() {
    for same in ["my/app:v1", "docker.io/my/app:v1"] {
        saved().image(Some(same)).await.unwrap();
    }
    let error = saved().image(Some("my/app")).await.unwrap_err().to_string();
    assert_eq!(error, "the archive has no image `my/app`, only: my/app:v1");
}

#[tokio::test]
async fn several_images_want_a_name() {
    let one = |tag| json!({"Config": "conf.json", "RepoTags": [tag], "Layers": []});
    let draft = Draft::new().file("conf.json", b"{}").json("manifest.json", &json!([one("a:1"), one("b:1")]));
    let error = draft.image(None).await.unwrap_err().to_string();
    assert_eq!(error, "the archive has several images: a:1, b:1\nhint: name one of them");
}

#[tokio::test]
async fn a_compressed_archive_is_the_same_archive() {
    let image =
        Archive::from_stream(&*gzip(&saved().bytes())).await.unwrap().image(None, Arch::Amd64).await.unwrap();
    assert_eq!(image.digest(), saved().image(None).await.unwrap().digest());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Opening each level with another call overflowed the stack at some thousand levels.
#[tokio::test]
async fn an_archive_that_is_compressed_twice_is_refused() {
    let error = Archive::from_stream(&*gzip(&gzip(&saved().bytes()))).await.unwrap_err();
    assert!(matches!(error, TarballError::Nested), "{error}");
}

#[tokio::test]
async fn an_archive_that_unpacks_to_more_than_an_image_is_refused() {
    // 128 MiB of zeros have 128 KiB.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..128).for_each(|_| bomb.write_all(&[0; 1 << 20]).unwrap());
    let bomb = bomb.finish().unwrap();
    let error = Archive::from_stream(&*bomb).await.unwrap_err();
    assert!(matches!(error, TarballError::Bomb { .. }), "{error}");
}

#[tokio::test]
async fn a_list_of_entries_without_an_end_is_refused() {
    let mut header = tar::Header::new_gnu();
    header.set_path("a").unwrap();
    header.set_size(0);
    header.set_cksum();
    let error = Archive::from_stream(&*header.as_bytes().repeat(70_000)).await.unwrap_err();
    assert_eq!(error.to_string(), "read the archive: the list of its entries has more than 32 MiB");
}

#[tokio::test]
async fn an_image_with_more_layers_than_any_engine_accepts_is_refused() {
    let layers = vec!["layer"; 513];
    let draft = Draft::new().file("layer", b"").file("conf.json", b"{}");
    let draft = draft.json("manifest.json", &json!([{"Config": "conf.json", "Layers": layers}]));
    let error = draft.image(None).await.unwrap_err().to_string();
    assert_eq!(error, "read `manifest.json` of the archive: the image has 513 layers, more than 512");
}

#[tokio::test]
async fn a_layout_keeps_its_manifest_and_gives_the_platform_asked_for() {
    let (amd, arm) = (manifest(b"amd layer"), manifest(b"arm layer"));
    let of = |manifest: &[u8], architecture| {
        let mut descriptor = descriptor(MANIFEST, manifest);
        descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
        descriptor
    };
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "manifests": [of(&arm, "arm64"), of(&amd, "amd64")],
    }))
    .unwrap();
    let draft =
        Draft::new().blob(b"{}").blob(b"amd layer").blob(b"arm layer").blob(&amd).blob(&arm).blob(&index);
    let draft =
        draft.json("index.json", &json!({"schemaVersion": 2, "manifests": [descriptor(INDEX, &index)]}));
    let image = draft.image(Some("whatever:v1")).await.unwrap();
    assert_eq!(image.digest(), &Digest::of(&amd));
    assert_eq!(image.layers[0].read(0, 100).unwrap(), "amd layer");
}

#[tokio::test]
async fn a_layer_that_is_not_its_digest_is_refused() {
    let manifest = manifest(b"the layer");
    let path = format!("blobs/{}", Digest::of(b"the layer").as_str().replacen(':', "/", 1));
    let draft = Draft::new().blob(b"{}").blob(&manifest).file(&path, b"not this");
    let draft = draft
        .json("index.json", &json!({"schemaVersion": 2, "manifests": [descriptor(MANIFEST, &manifest)]}));
    let error = draft.image(None).await.unwrap_err();
    assert!(matches!(error, TarballError::Digest { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_image_is_refused_with_what_it_is() {
    let of = |bytes: &'static [u8]| async move {
        match Archive::from_stream(bytes).await {
            Ok(archive) => archive.image(None, Arch::Amd64).await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    };
    assert!(of(b"\x28\xb5\x2f\xfd....").await.contains("compressed with zstd"));
    assert!(of(b"").await.contains("neither of `docker save` nor an OCI layout"));
    assert!(of(&[b'x'; 2048]).await.starts_with("read the archive: "));
    let lacking = Draft::new().json("manifest.json", &json!([{"Config": "conf.json", "Layers": []}]));
    assert_eq!(
        lacking.image(None).await.unwrap_err().to_string(),
        "the archive does not contain `conf.json`"
    );
}

#[tokio::test]
async fn links_in_a_circle_end() {
    let draft = Draft::new().link("a", "b").link("b", "a");
    let draft = draft.json("manifest.json", &json!([{"Config": "a", "Layers": []}]));
    assert_eq!(draft.image(None).await.unwrap_err().to_string(), "the archive does not contain `a`");
}

#[tokio::test]
async fn an_archive_cut_short_gives_an_error_wherever_it_is_cut() {
    let whole = saved().bytes();
    // What follows the last file's bytes is padding, which readers may do without.
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for cut in (1..end).step_by(31) {
        let part = whole[..cut].to_vec();
        let outcome = match Archive::from_stream(&*part).await {
            Ok(archive) => archive.image(None, Arch::Amd64).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "cut at {cut}");
    }
}

#[tokio::test]
async fn an_archive_with_wrong_bytes_gives_an_error_or_an_image_and_never_a_panic() {
    let whole = saved().bytes();
    // Steps through every header and file, and values that mean something in a header: digits, type flags, signs.
    for (at, value) in (0..whole.len())
        .step_by(7)
        .zip([0u8, b'7', b'9', 0x80, 0xff, b'1', b'2', b'L', b'x'].into_iter().cycle())
    {
        let mut wrong = whole.clone();
        wrong[at] = value;
        // A header's sum over its own bytes would catch all of it first; so it is set right again.
        let header = at / 512 * 512;
        if wrong[header + 257..].starts_with(b"ustar") && !(148..156).contains(&(at - header)) {
            wrong[header + 148..header + 156].fill(b' ');
            let sum: u32 = wrong[header..header + 512].iter().map(|byte| u32::from(*byte)).sum();
            wrong[header + 148..header + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        if let Ok(archive) = Archive::from_stream(&*wrong).await {
            let _ = archive.image(None, Arch::Amd64).await;
        }
    }
}
