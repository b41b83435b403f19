//! Overlays: from a name or a path to objects, and the swap of registry port and digest that only `deploy` does.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use meshy_kustomize::{Disk, Memory, Output};

use crate::files;
use crate::image::service::{NAME, TAG};
use meshy_base::activity::{self, Kind};
use meshy_base::error::{Advise, AdviseError, Exit};
use meshy_kube::{Object, manifest};

/// What `up` deploys, and `deploy` without a name.
pub const DEFAULT: [&str; 2] = ["minimal-service", "bounced-service"];

/// The registry as overlays name it.
const REGISTRY: &str = "localhost:5000";

/// Builds an overlay: a bare name is one of the shipped ones, a path a folder on the disk.
///
/// # Errors
/// There is none of that name; whatever kustomize refuses.
pub fn build(name: &str) -> anyhow::Result<Output> {
    let _building = activity::begin(Kind::Work, format!("building overlay `{name}`"));
    let built = if on_disk(name) {
        meshy_kustomize::build(&Disk, Path::new(name))
    } else {
        if !files::overlays().iter().any(|o| o == name) {
            return Err(unknown(name));
        }
        let mut tree = Memory::new();
        for (path, bytes) in files::all() {
            tree.insert(Path::new("/").join(path), bytes);
        }
        meshy_kustomize::build(&tree, &PathBuf::from("/").join(files::OVERLAY_FOLDER).join(name))
    };
    built.with_context(|| format!("cannot build overlay `{name}`")).exit(Exit::Usage)
}

/// Whether a name means a folder on the disk and not one of the shipped overlays.
pub(crate) fn on_disk(name: &str) -> bool {
    name.contains('/') || name.starts_with('.')
}

fn unknown(name: &str) -> anyhow::Error {
    let all = files::overlays();
    let near = all.iter().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
    let near = near
        .filter(|n| strsim::jaro(n, name) > 0.7)
        .map(|n| format!("; did you mean `{n}`?"))
        .unwrap_or_default();
    let hint =
        format!("shipped are {}{near}; a path such as ./{name} means a folder on the disk", all.join(", "));
    anyhow!("there is no overlay `{name}`").hint(hint).exit(Exit::Usage)
}

/// The objects of an overlay.
///
/// # Errors
/// What the overlay holds is not an object.
pub fn objects(output: Output) -> anyhow::Result<Vec<Object>> {
    let each: anyhow::Result<Vec<_>> = output.objects.into_iter().map(manifest::from_value).collect();
    Ok(each?.into_iter().flatten().collect())
}

/// Returns the test service's image as overlays name it.
pub(crate) fn default_image() -> String {
    format!("{REGISTRY}/{NAME}:{TAG}")
}

/// Returns the test service's image as it is deployed: in the private registry with this port, or what `image` says.
pub fn deployed_image(registry_port: Option<u16>, image: Option<&str>) -> String {
    swap(&default_image(), registry_port, image)
}

/// Sets the images as they are deployed: those of the private registry are named by its port, and the test service's by what
/// `image` says.
pub(crate) fn set_images(objects: &mut [Object], registry_port: Option<u16>, image: Option<&str>) {
    for object in objects {
        for pod in ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"] {
            for list in ["containers", "initContainers"] {
                let Some(found) = object.data.pointer_mut(&format!("{pod}/{list}")) else { continue };
                for container in found.as_array_mut().into_iter().flatten() {
                    if let Some(name) = container["image"].as_str() {
                        container["image"] = swap(name, registry_port, image).into();
                    }
                }
            }
        }
    }
}

fn swap(name: &str, registry_port: Option<u16>, image: Option<&str>) -> String {
    let ours = default_image();
    match (image, registry_port, name.strip_prefix(&format!("{REGISTRY}/"))) {
        (Some(image), _, _) if name == ours => image.to_owned(),
        (_, Some(port), Some(rest)) => format!("localhost:{port}/{rest}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_of_the_private_registry_are_swapped() {
        let ours = "localhost:5000/minimal-service:v1.0.0";
        let pushed = "localhost:5001/minimal-service:v1.0.0@sha256:00";
        assert_eq!(swap(ours, Some(5001), Some(pushed)), pushed);
        assert_eq!(swap(ours, None, None), ours);
        assert_eq!(swap("localhost:5000/other:1", Some(5001), Some(pushed)), "localhost:5001/other:1");
        assert_eq!(swap("nginx:1", Some(5001), Some(pushed)), "nginx:1");
    }

    #[test]
    fn a_mistyped_overlay_is_reported_with_the_nearest_name() {
        let error = build("minimal-servic").unwrap_err();
        assert!(meshy_base::error::hints(&error)[0].contains("did you mean `minimal-service`"));
    }

    #[test]
    fn the_shipped_overlays_build_and_take_the_image_that_was_pushed() {
        for name in files::overlays() {
            let mut objects = objects(build(&name).unwrap()).unwrap();
            set_images(&mut objects, Some(5001), Some("localhost:5001/x@sha256:1"));
            let deployment = objects.iter().find(|o| manifest::kind(o) == "Deployment").unwrap();
            let image = &deployment.data["spec"]["template"]["spec"]["containers"][0]["image"];
            assert_eq!(image, "localhost:5001/x@sha256:1", "{name}");
        }
    }
}
