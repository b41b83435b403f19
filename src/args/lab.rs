//! Flags that describe a new lab: its cluster and its add-ons.

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use meshy_embedded::parse_log_level;
use meshy_lab::addons::{Ingress, Mesh, Request};
use meshy_lab::cluster::Spec;

/// The cluster of a new lab. An existing lab keeps what it was created with.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Worker nodes of a new KinD lab, in addition to the control-plane node [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u8>,
    /// The image of the nodes of a new KinD lab [default: MESHY_NODE_IMAGE, else kind's image of Kubernetes 1.35]
    #[arg(long, value_name = "IMAGE")]
    pub(crate) node_image: Option<String>,
    /// The image of the private registry of a new KinD lab [default: MESHY_REGISTRY_IMAGE, else registry:2]
    #[arg(long, value_name = "IMAGE")]
    pub(crate) registry_image: Option<String>,
    /// Embedded cluster only: clients use a new profile only after 5 s without requests, as on a real Linkerd
    #[arg(long, env = "MESHY_LIKE_LINKERD", hide_env = true)]
    pub(crate) like_linkerd: bool,
}

impl ClusterArgs {
    /// Returns the cluster that the flags describe.
    pub(crate) fn spec(self) -> Spec {
        Spec {
            workers: self.workers,
            node_image: self.node_image,
            registry_image: self.registry_image,
            like_linkerd: self.like_linkerd,
            without_ingress: false,
            programs: None,
        }
    }
}

/// What is installed in addition to the test services.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Add-ons")]
pub(crate) struct AddonArgs {
    /// The ingress controller [default: the lab's earlier choice, else nginx]; the project ingress-nginx ended in March 2026
    #[arg(long, value_name = "INGRESS", value_parser = ingress())]
    ingress: Option<Ingress>,
    /// The mesh [default: the lab's earlier choice, else linkerd]
    #[arg(long, value_name = "MESH", value_parser = mesh())]
    mesh: Option<Mesh>,
    /// A registry that has all images of the add-ons, instead of the default registries
    #[arg(long, value_name = "HOST:PORT")]
    image_registry: Option<String>,
    /// The tag of Linkerd's images [default: the Linkerd tag that `meshy --version` prints]
    #[arg(long, value_name = "VERSION")]
    linkerd_version: Option<String>,
    /// Log level of the proxies: error, warn, info, debug, trace, off, or such as warn,linkerd=debug; a pod's annotation overrides it [default: the lab's earlier choice, else info]
    #[arg(long, value_name = "LEVEL", value_parser = proxy_log(), conflicts_with = "linkerd_manifest")]
    proxy_log: Option<String>,
    /// Apply the output of `linkerd install` (a file, or `-`) instead of meshy's own manifests
    #[arg(long, value_name = "FILE")]
    linkerd_manifest: Option<PathBuf>,
    /// Apply the output of `linkerd install --crds` before the manifests of --linkerd-manifest
    #[arg(long, value_name = "FILE", requires = "linkerd_manifest")]
    linkerd_crds: Option<PathBuf>,
    /// Your own trust anchor (the root certificate that all proxies trust), PEM
    #[arg(long, value_name = "FILE", requires = "issuer", conflicts_with = "linkerd_manifest")]
    trust_anchor: Option<PathBuf>,
    /// The issuer that the trust anchor signed (the CA of the proxies' certificates): certificate and key in one file, PEM
    #[arg(long, value_name = "FILE", requires = "trust_anchor")]
    issuer: Option<PathBuf>,
}

impl AddonArgs {
    /// Returns what the flags request.
    pub(crate) fn request(self) -> Request {
        Request {
            ingress: self.ingress,
            mesh: self.mesh,
            image_registry: self.image_registry,
            linkerd_version: self.linkerd_version,
            proxy_log: self.proxy_log,
            linkerd_manifest: self.linkerd_manifest,
            linkerd_crds: self.linkerd_crds,
            identity: self.trust_anchor.zip(self.issuer),
        }
    }
}

/// Returns the parser of `--ingress`.
pub(crate) fn ingress() -> impl TypedValueParser<Value = Ingress> {
    let values = [
        PossibleValue::new("nginx").help("ingress-nginx 1.15.1"),
        PossibleValue::new("none").help("No ingress controller"),
    ];
    PossibleValuesParser::new(values)
        .map(|value| if value == "none" { Ingress::None } else { Ingress::Nginx })
}

/// Returns the parser of `--mesh`.
pub(crate) fn mesh() -> impl TypedValueParser<Value = Mesh> {
    let values = [PossibleValue::new("linkerd").help("Linkerd"), PossibleValue::new("none").help("No mesh")];
    PossibleValuesParser::new(values).map(|value| if value == "none" { Mesh::None } else { Mesh::Linkerd })
}

/// Returns the parser of `--proxy-log`.
fn proxy_log() -> impl TypedValueParser<Value = String> {
    NonEmptyStringValueParser::new().try_map(|level| parse_log_level(&level).map(|_| level))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: AddonArgs,
    }

    #[test]
    fn a_trust_anchor_needs_its_issuer_and_a_choice_is_one_of_the_values() {
        assert!(Line::try_parse_from(["up", "--trust-anchor", "a.pem"]).is_err());
        let both = Line::try_parse_from(["up", "--trust-anchor", "a.pem", "--issuer", "i.pem"]).unwrap();
        assert_eq!(both.flags.request().identity, Some(("a.pem".into(), "i.pem".into())));
        assert!(Line::try_parse_from(["up", "--mesh", "istio"]).is_err());
        let none =
            Line::try_parse_from(["up", "--mesh", "none", "--ingress", "nginx"]).unwrap().flags.request();
        assert_eq!((none.mesh, none.ingress), (Some(Mesh::None), Some(Ingress::Nginx)));
    }

    #[test]
    fn a_log_level_is_a_level_or_levels_of_targets() {
        for level in ["warn", "warn,linkerd=info,hickory=error", "info,[{headers}]=off"] {
            let line = Line::try_parse_from(["up", "--proxy-log", level]).unwrap();
            assert_eq!(line.flags.request().proxy_log.as_deref(), Some(level));
        }
        for level in ["", "verbose", "warn,linkerd=loud"] {
            assert!(Line::try_parse_from(["up", "--proxy-log", level]).is_err(), "{level}");
        }
    }
}
