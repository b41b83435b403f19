//! The test service's image on its way into the private registry.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use crate::error::{Advise, Exit};
use crate::image::registry::Client;
use crate::image::service::{NAME, TAG, binary};
use crate::image::{Arch, Image};

/// Builds the image, pushes it unless it is there, and proves that it can be pulled. Gives the reference by digest and
/// what was done.
///
/// # Errors
/// There is no program to put in, or the registry refuses.
pub async fn publish(port: u16, program: Option<&Path>) -> anyhow::Result<(String, String)> {
    let image = build(program)?;
    let client = Client::new(format!("localhost:{port}"));
    let pushed = client.push(&image, NAME, TAG).await.context("cannot push the test service's image")?;
    client.prove(NAME, pushed.digest.as_str()).await.context("the image that was pushed cannot be pulled")?;
    let result = match pushed.sent {
        // The manifest and its configuration are sent each time; they are what the tag is set by.
        sent if sent < 16 << 10 => "already there".to_owned(),
        sent => format!("{:.1} MiB", sent as f64 / f64::from(1 << 20)),
    };
    Ok((format!("localhost:{port}/{NAME}:{TAG}@{}", pushed.digest), result))
}

fn build(program: Option<&Path>) -> anyhow::Result<Image> {
    if let Some(file) = program {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let arch =
            Arch::of_static(&bytes).with_context(|| format!("{} cannot be the service", file.display()))?;
        return Ok(Image::for_service(&bytes, arch));
    }
    let bytes = binary()
        .map_err(|why| anyhow!("this meshy carries no test service: {why}"))
        .hint("`--service-binary FILE` takes a static program for Linux, `--image` an image that the cluster can pull")
        .id("service-absent-here")
        .exit(Exit::Prerequisite)?;
    let arch = Arch::of_static(bytes).context("cannot understand the embedded test service")?;
    Ok(Image::for_service(bytes, arch))
}
