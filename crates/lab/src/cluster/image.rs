//! The test service's image on its way into the private registry.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context as _, anyhow};

use crate::image::registry::Client;
use crate::image::service::{NAME, TAG, binary};
use crate::image::{Arch, Digest, Image};
use crate::lab::Record;
use meshy_base::error::{Advise, Exit};

/// An image in the private registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its reference by digest.
    pub image: String,
    /// What it was made of: the program's digest and the version of meshy that made it.
    pub made_of: String,
}

/// Builds the image, pushes it unless it is there, and proves that it can be pulled. Gives what is there now and what was
/// done. An image that the lab has of the same program is only proven: packing takes most of a second `up`'s time.
///
/// # Errors
/// There is no program to put in, or the registry refuses.
pub async fn publish(port: u16, program: Option<&Path>, lab: &Record) -> anyhow::Result<(Published, String)> {
    let program = read(program)?;
    let made_of = format!("{} by {}", Digest::of(&program), env!("CARGO_PKG_VERSION"));
    let client = Client::new(format!("localhost:{port}"));
    if let Some(there) = lab
        .image
        .as_ref()
        .filter(|_| lab.kind().is_ok_and(|kind| kind.image_made_of.as_ref() == Some(&made_of)))
        && let Some((_, digest)) = there.split_once('@')
        && client.prove(NAME, digest).await.is_ok()
    {
        return Ok((Published { image: there.clone(), made_of }, "already there".to_owned()));
    }
    let arch = Arch::of_static(&program).context("the program cannot be the service")?;
    let image = Image::for_service(&program, arch);
    let pushed = client.push(&image, NAME, TAG).await.context("cannot push the test service's image")?;
    client.prove(NAME, pushed.digest.as_str()).await.context("the image that was pushed cannot be pulled")?;
    let result = match pushed.sent {
        // The manifest and its configuration are sent each time; they are what the tag is set by.
        sent if sent < 16 << 10 => "already there".to_owned(),
        sent => format!("{:.1} MiB", sent as f64 / f64::from(1 << 20)),
    };
    let image = format!("localhost:{port}/{NAME}:{TAG}@{}", pushed.digest);
    Ok((Published { image, made_of }, result))
}

/// Whether an image is the test service's in the registry at that port, and not one that the user named.
pub fn is_ours(image: &str, port: u16) -> bool {
    image.starts_with(&format!("localhost:{port}/{NAME}:{TAG}@"))
}

/// The program to put in: the given file, else the one inside meshy.
fn read(file: Option<&Path>) -> anyhow::Result<Cow<'static, [u8]>> {
    if let Some(file) = file {
        let bytes =
            meshy_base::input::any(file).with_context(|| format!("cannot read {}", file.display()))?;
        Arch::of_static(&bytes).with_context(|| format!("{} cannot be the service", file.display()))?;
        return Ok(bytes.into());
    }
    let bytes = binary()
        .map_err(|why| anyhow!("this meshy contains no test service: {why}"))
        .hint("`--service-binary FILE` takes a static program for Linux, `--image` an image that the cluster can pull")
        .id("test-service-missing")
        .exit(Exit::Prerequisite)?;
    Ok(bytes.into())
}
