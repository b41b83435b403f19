//! The add-ons that a user requests.

use std::path::PathBuf;

use super::{Ingress, Mesh};

/// What the user requests to be installed. What is absent stays as the lab's earlier choice, else as the default.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The ingress controller.
    pub ingress: Option<Ingress>,
    /// The mesh.
    pub mesh: Option<Mesh>,
    /// A registry that has all images of the add-ons.
    pub image_registry: Option<String>,
    /// The tag of Linkerd's images.
    pub linkerd_version: Option<String>,
    /// The log level of the proxies, as `config.linkerd.io/proxy-log-level` spells it.
    pub proxy_log: Option<String>,
    /// The output of `linkerd install` (a file, or `-`), to apply instead of meshy's own manifests.
    pub linkerd_manifest: Option<PathBuf>,
    /// The output of `linkerd install --crds`, to apply before it.
    pub linkerd_crds: Option<PathBuf>,
    /// The user's own trust anchor and the issuer that it signed, both PEM files.
    pub identity: Option<(PathBuf, PathBuf)>,
}
