//! The form of `docker save`: `manifest.json` lists images by their names, each with a configuration and layers.

use serde::Deserialize;

use super::super::manifest::{CONFIG, LAYER, LAYER_PLAIN, LAYER_ZSTD};
use super::super::{Blob, Image};
use super::{Archive, TarballError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The image of a name, with a manifest of our own: this form has none.
pub(super) fn image(archive: &Archive, reference: Option<&str>) -> Result<Image, TarballError> {
    let saved: Vec<Saved> = archive.json("manifest.json")?;
    let saved = choose(saved, reference)?;
    archive.check_layers("manifest.json", saved.layers.len())?;
    let config = Blob::new(CONFIG, archive.small(&saved.config)?);
    let layers = saved.layers.iter().map(|path| layer(archive, path)).collect::<Result<_, _>>()?;
    Ok(Image::assemble(config, layers))
}

fn layer(archive: &Archive, path: &str) -> Result<Blob, TarballError> {
    let (offset, size) = archive.place(path)?;
    let digest = archive.digest(offset, size)?;
    let mut magic = [0; 4];
    let read = size.min(4) as usize;
    std::os::unix::fs::FileExt::read_exact_at(&*archive.file, &mut magic[..read], offset)?;
    let media_type = match &magic {
        [0x1f, 0x8b, ..] => LAYER,
        b"\x28\xb5\x2f\xfd" => LAYER_ZSTD,
        _ => LAYER_PLAIN,
    };
    Ok(Blob::in_file(media_type, digest, archive.file.clone(), offset, size))
}

fn choose(saved: Vec<Saved>, reference: Option<&str>) -> Result<Saved, TarballError> {
    let names = |saved: &[Saved]| -> Vec<String> {
        let tags = saved.iter().map(|saved| saved.repo_tags.clone().unwrap_or_default());
        tags.map(|tags| if tags.is_empty() { "(without a name)".to_owned() } else { tags.join(" = ") })
            .collect()
    };
    let there = names(&saved);
    let Some(asked) = reference else {
        let mut saved = saved;
        return match (saved.pop(), saved.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(_), false) => Err(TarballError::Several(there)),
            (None, _) => Err(TarballError::NoImage),
        };
    };
    let wanted = full(asked);
    let has = |saved: &Saved| saved.repo_tags.iter().flatten().any(|tag| full(tag) == wanted);
    let absent = TarballError::Absent { asked: asked.to_owned(), there };
    saved.into_iter().find(has).ok_or(absent)
}

/// A name with its tag and without the registry that Docker leaves out, so that `nginx` finds
/// `docker.io/library/nginx:latest`.
pub(super) fn full(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}
