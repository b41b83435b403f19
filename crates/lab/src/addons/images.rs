//! The images of the add-ons: which, from where.

use serde::Serialize;

use super::{Ingress, Mesh, Options};

/// The tag of Linkerd's images; released as part of 2.20.
pub(crate) const LINKERD_VERSION: &str = "edge-26.6.3";
/// The tag of ingress-nginx's controller.
pub(crate) const INGRESS_NGINX_VERSION: &str = "v1.15.1";

/// An image that the cluster must be able to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// With registry and tag: `cr.l5d.io/linkerd/proxy:edge-26.6.3`.
    pub name: String,
    /// The digest that its makers published with that tag, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<&'static str>,
    /// What it is for.
    pub used_by: &'static str,
    /// Where it comes from when no registry is given: the name to pull or copy.
    pub origin: String,
}

/// Repository of Linkerd's controllers.
pub(super) const CONTROLLER: &str = "cr.l5d.io/linkerd/controller";
/// Repository of Linkerd's proxy.
pub(super) const PROXY: &str = "cr.l5d.io/linkerd/proxy";
/// Repository of Linkerd's debug sidecar; pulled only by pods that ask for it.
pub(super) const DEBUG: &str = "cr.l5d.io/linkerd/debug";
/// Repository of ingress-nginx's controller.
pub(super) const INGRESS: &str = "registry.k8s.io/ingress-nginx/controller";

/// From the release notes of ingress-nginx v1.15.1 and its static manifests.
const INGRESS_DIGEST: &str = "sha256:594ceea76b01c592858f803f9ff4d2cb40542cae2060410b2c95f75907d659e1";

/// A repository's name on the requested registry, if there is one: the host is exchanged, the path kept.
pub(super) fn on_registry(repository: &str, registry: Option<&str>) -> String {
    match (registry, repository.split_once('/')) {
        (Some(registry), Some((_, path))) => format!("{}/{path}", registry.trim_end_matches('/')),
        _ => repository.to_owned(),
    }
}

/// The images that these options need.
pub fn needed(options: &Options) -> Vec<Image> {
    let registry = options.image_registry.as_deref();
    let image = |repository: &str, tag: &str, used_by, digest| Image {
        name: format!("{}:{tag}", on_registry(repository, registry)),
        digest,
        used_by,
        origin: format!("{repository}:{tag}"),
    };
    let mut all = Vec::new();
    if options.ingress == Ingress::Nginx {
        all.push(image(INGRESS, INGRESS_NGINX_VERSION, "ingress-nginx", Some(INGRESS_DIGEST)));
    }
    if options.mesh == Mesh::Linkerd {
        all.push(image(CONTROLLER, &options.linkerd.version, "Linkerd's control plane", None));
        all.push(image(PROXY, &options.linkerd.version, "every meshed pod", None));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_takes_the_place_of_the_host_only() {
        let options = Options { image_registry: Some("localhost:5000".to_owned()), ..Options::default() };
        let names: Vec<String> = needed(&options).into_iter().map(|i| i.name).collect();
        assert_eq!(
            names,
            [
                "localhost:5000/ingress-nginx/controller:v1.15.1",
                "localhost:5000/linkerd/controller:edge-26.6.3",
                "localhost:5000/linkerd/proxy:edge-26.6.3"
            ]
        );
    }
}
