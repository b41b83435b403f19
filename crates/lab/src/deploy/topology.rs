//! Topologies as objects of a cluster.

use std::path::Path;

use anyhow::anyhow;
use kube::core::Resource as _;
use meshy_base::error::{Advise, Exit};
use meshy_base::{activity, activity::Kind};
use meshy_kube::{Object, manifest};
use meshy_topology::{Error, ManifestOptions, Topology};

use crate::{files, overlay};

/// The namespace of a topology unless another one is requested.
pub const NAMESPACE: &str = "default";

/// Loads a topology: a shipped name, or the path of a file.
///
/// # Errors
/// Returns an error with the file, the line and the nearest valid name. Its exit code is that of invalid usage.
pub fn load(name: &str) -> anyhow::Result<Topology> {
    let _loading = activity::begin(Kind::File, format!("reading topology `{name}`"));
    let loaded = Topology::load(name);
    let hint = match &loaded {
        Err(Error::Unknown { .. }) => {
            let shipped: Vec<&str> = meshy_topology::shipped().into_iter().map(|(name, _)| name).collect();
            Some(format!("shipped are {}; a path such as ./{name}.yaml is a file", shipped.join(", ")))
        }
        _ => None,
    };
    match hint {
        Some(hint) => loaded.hint(hint).exit(Exit::Usage),
        None => loaded.exit(Exit::Usage),
    }
}

/// Returns a warning for what the file of a topology contains and meshy does not use.
#[must_use]
pub fn warnings(name: &str, topology: &Topology) -> Vec<String> {
    let ignored = (!topology.ignored.is_empty()).then(|| topology.ignored.join("; "));
    ignored.map(|ignored| format!("topology `{name}`: not used: {ignored}")).into_iter().collect()
}

/// Returns how a topology is deployed into a namespace, with the test service's image as overlays name it.
///
/// # Errors
/// Returns an error if the namespace is not a DNS label.
pub fn options(namespace: Option<&str>) -> anyhow::Result<ManifestOptions> {
    let namespace = namespace.unwrap_or(NAMESPACE);
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = (1..=63).contains(&namespace.len())
        && namespace.chars().all(is_inner)
        && !namespace.starts_with('-')
        && !namespace.ends_with('-');
    if !is_label {
        return Err(anyhow!("invalid namespace `{namespace}`, expected lower-case letters, digits and `-`"))
            .exit(Exit::Usage);
    }
    Ok(ManifestOptions { namespace: namespace.to_owned(), image: overlay::default_image(), inject: true })
}

/// Returns the objects of a topology that consists of services.
///
/// # Errors
/// Returns an error if the namespace is not a DNS label.
pub fn objects(topology: &Topology, namespace: Option<&str>) -> anyhow::Result<Vec<Object>> {
    let values = meshy_topology::manifests(topology, &options(namespace)?);
    let each: anyhow::Result<Vec<_>> = values.into_iter().map(manifest::from_value).collect();
    let mut objects: Vec<Object> = each?.into_iter().flatten().collect();
    // Whether the namespace is meshy's depends on who created it; applying decides that.
    for object in objects.iter_mut().filter(|object| manifest::kind(object) == "Namespace") {
        object.meta_mut().labels = None;
    }
    Ok(objects)
}

/// Returns the overlays of a topology as [`overlay::build`] accepts them: shipped names, and folders relative to the file.
///
/// # Errors
/// Returns an error if a namespace is requested: overlays contain theirs.
pub fn overlays(name: &str, topology: &Topology, namespace: Option<&str>) -> anyhow::Result<Vec<String>> {
    if let Some(namespace) = namespace {
        let error = anyhow!("topology `{name}` cannot be deployed into namespace `{namespace}`");
        return Err(error)
            .hint("it consists of overlays, and these contain their namespace")
            .exit(Exit::Usage);
    }
    let shipped = files::overlays();
    let folder = Path::new(name).parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let each = topology.overlays.iter().map(|path| {
        let inside = path.strip_prefix(files::OVERLAY_FOLDER).and_then(|rest| rest.strip_prefix('/'));
        match inside.filter(|inside| shipped.iter().any(|shipped| shipped == inside)) {
            Some(inside) => inside.to_owned(),
            None => folder.join(path).display().to_string(),
        }
    });
    Ok(each.collect())
}

#[cfg(test)]
mod tests {
    use super::super::Bundle;
    use super::*;

    fn error(name: &str, namespace: Option<&str>) -> String {
        let error = Bundle::topology(name, namespace).unwrap_err();
        assert_eq!(meshy_base::error::exit_of(&error), Exit::Usage, "{error:#}");
        format!("{error:#}; {}", meshy_base::error::hints(&error).join("; "))
    }

    #[test]
    fn each_shipped_topology_becomes_objects() {
        for (name, _) in meshy_topology::shipped() {
            let bundle = Bundle::topology(name, None).unwrap();
            assert!(bundle.objects.iter().any(|object| manifest::kind(object) == "Deployment"), "{name}");
            assert!(bundle.warnings.is_empty(), "{name}: {:?}", bundle.warnings);
        }
    }

    #[test]
    fn a_topology_runs_the_image_of_the_lab() {
        let mut objects = Bundle::topology("chain-3", Some("shop")).unwrap().objects;
        overlay::set_images(&mut objects, Some(5001), Some("localhost:5001/x@sha256:1"));
        let image =
            |object: &Object| object.data["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        let deployments = objects.iter().filter(|object| manifest::kind(object) == "Deployment");
        let images: Vec<_> = deployments.map(image).collect();
        assert_eq!(images, ["localhost:5001/x@sha256:1"; 3]);
        assert_eq!(manifest::describe(&objects[0]), "namespace `shop`");
        assert_eq!(objects[0].meta().labels, None);
    }

    #[test]
    fn names_and_namespaces_that_cannot_be_used_are_errors() {
        assert!(error("chian-3", None).contains("did you mean `chain-3`?; shipped are chain-2, chain-3"));
        assert!(error("shop", Some("My Shop")).contains("invalid namespace `My Shop`"));
        let demo = error("original-demo", Some("shop"));
        assert!(demo.contains("cannot be deployed into namespace `shop`"), "{demo}");
    }
}
