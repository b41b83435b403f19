//! `meshy up --images`: the images that a cluster must be able to pull.

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::addons::{Options, images};

/// Prints name, digest and origin of each image.
///
/// # Errors
/// Returns an error if stdout cannot be written.
pub(super) fn run(context: &Context, options: &Options) -> anyhow::Result<Exit> {
    let needed = images::needed(options);
    context.data(&needed, |needed| {
        let width = needed.iter().map(|i| i.name.len()).max().unwrap_or(0);
        let line = |i: &images::Image| {
            let digest = i.digest.unwrap_or("digest not known");
            let origin = if i.origin == i.name { String::new() } else { format!("  from {}", i.origin) };
            format!("{:width$}  {}  {digest}{origin}\n", i.name, i.used_by)
        };
        needed.iter().map(line).collect()
    })?;
    Ok(Exit::Done)
}
