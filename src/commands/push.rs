//! `meshy push`: an image from the engine or an archive into the private registry.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use futures::TryStreamExt as _;
use serde::Serialize;
use tokio_util::io::StreamReader;

use crate::context::Context;
use meshy_base::activity;
use meshy_base::error::{Advise, Exit};
use meshy_lab::cluster::{self, engine};
use meshy_lab::image::registry::Client;
use meshy_lab::image::tarball::Archive;
use meshy_lab::image::{Arch, Image};

/// The flags of `meshy push`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy push my-service:v2\n  meshy push image.tar --as my-service:v2")]
pub struct Args {
    /// An image of the Docker engine by its name, or the file that `docker save` or another tool wrote
    #[arg(value_name = "IMAGE|FILE")]
    image: String,
    /// Name and tag in the registry [default: those of the image, without its registry]
    // Not called `name`: clap knows flags by their fields, and the lab's own `--name` would be taken for this one.
    #[arg(long = "as", value_name = "NAME:TAG")]
    target: Option<String>,
}

#[derive(Debug, Serialize)]
struct Pushed {
    image: String,
    digest: String,
    sent: u64,
}

/// Pushes the image.
///
/// # Errors
/// There is no such image or file; the lab has no registry; the registry refuses.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let record = cluster::lab(context)?;
    let port =
        record.registry_port().with_context(|| format!("lab `{}` has no private registry", record.name));
    let port = port.hint("its cluster runs the test service without one").exit(Exit::Usage)?;
    let (name, tag) = split(args.target.as_deref().unwrap_or(&args.image))?;
    if context.dry_run {
        context.report.say(format!("would push `{}` as localhost:{port}/{name}:{tag}", args.image));
        return Ok(Exit::Done);
    }
    let push = async {
        let image = read(&args.image).await?;
        let pushed = Client::new(format!("localhost:{port}")).push(&image, &name, &tag).await;
        let pushed = pushed.hint("`meshy registry` creates the private registry, or starts it")?;
        let result = format!("{:.1} MiB sent", pushed.sent as f64 / f64::from(1 << 20));
        let image = format!("localhost:{port}/{name}:{tag}");
        Ok((Pushed { image, digest: pushed.digest.to_string(), sent: pushed.sent }, result))
    };
    let pushed = context.report.run("Pushing", format!("`{}`", args.image), push).await?;
    context.data(&pushed, |p| format!("{}@{}", p.image, p.digest))?;
    Ok(Exit::Done)
}

async fn read(image: &str) -> anyhow::Result<Image> {
    let arch = Arch::here().context("no images are known for this machine's architecture")?;
    let file = Path::new(image);
    // An image of the engine may have the name of a folder that is here.
    if file.exists() && !file.is_dir() {
        if !file.is_file() {
            // An archive is read in any order, and a pipe only once.
            return Err(anyhow!("not a regular file"))
                .context(format!("cannot open {image}"))
                .exit(Exit::Usage);
        }
        let _reading = activity::reading(file);
        let archive = Archive::open(file).await.with_context(|| format!("cannot open {image}"))?;
        return archive.image(None, arch).await.with_context(|| format!("cannot read an image from {image}"));
    }
    let engine = engine::connect().await?;
    if !engine.has_image(image).await? {
        return Err(anyhow!("the engine has no image `{image}`, and there is no such file"))
            .hint("`docker images` lists what it has")
            .exit(Exit::Usage);
    }
    let stream = engine.docker.export_image(image).map_err(std::io::Error::other);
    let archive = Archive::from_stream(StreamReader::new(Box::pin(stream))).await;
    let archive = archive.with_context(|| format!("cannot read image `{image}` from the engine"))?;
    archive.image(Some(image), arch).await.with_context(|| format!("cannot understand image `{image}`"))
}

/// Name and tag without the registry's host: `quay.io/a/b:1` is `a/b` and `1`.
fn split(reference: &str) -> anyhow::Result<(String, String)> {
    let file = Path::new(reference);
    let stem = if file.extension().is_some_and(|e| e == "tar" || e == "gz") {
        file.file_name().and_then(|f| f.to_str()?.split('.').next()).unwrap_or(reference)
    } else {
        reference
    };
    let stem = stem.split('@').next().unwrap_or(stem);
    let rest = match stem.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => stem,
    };
    let (name, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    if name.is_empty() || !name.chars().all(valid) {
        return Err(anyhow!("invalid image name `{name}`"))
            .hint("`--as NAME:TAG` names it")
            .exit(Exit::Usage);
    }
    Ok((name.to_owned(), tag.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_its_name_and_loses_its_host() {
        let of = |text: &str| split(text).map(|(n, t)| format!("{n} {t}")).unwrap_or_default();
        assert_eq!(of("quay.io/a/b:1"), "a/b 1");
        assert_eq!(of("localhost:5000/x"), "x latest");
        assert_eq!(of("my/x:2"), "my/x 2");
        assert_eq!(of("dir/image.tar.gz"), "image latest");
        assert_eq!(of("Big:1"), "");
    }
}
