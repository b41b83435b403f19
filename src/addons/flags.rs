//! The add-ons' flags of `up`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::certificates::Identity;
use super::{Choice, Ingress, Mesh, Options, linkerd};
use meshy_base::error::{Advise, Exit};
use meshy_base::input;
use meshy_kube::{Object, manifest};

/// What is installed beside the test services.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Add-ons")]
pub struct Flags {
    /// The ingress controller (retired by its makers in March 2026); without a choice nginx, or what the lab was told before
    #[arg(long, value_enum, value_name = "INGRESS")]
    pub(super) ingress: Option<Ingress>,
    /// The mesh; without a choice Linkerd, or what the lab was told before
    #[arg(long, value_enum, value_name = "MESH")]
    pub(super) mesh: Option<Mesh>,
    /// A registry that has all images of the add-ons, instead of their own ones
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) image_registry: Option<String>,
    /// The tag of Linkerd's images, instead of the one that `meshy versions` prints
    #[arg(long, value_name = "VERSION")]
    pub(super) linkerd_version: Option<String>,
    /// Apply the output of `linkerd install` (a file, or `-`) instead of meshy's own manifests
    #[arg(long, value_name = "FILE")]
    pub(super) linkerd_manifest: Option<PathBuf>,
    /// The output of `linkerd install --crds`, to go before it
    #[arg(long, value_name = "FILE", requires = "linkerd_manifest")]
    pub(super) linkerd_crds: Option<PathBuf>,
    /// A trust anchor of your own, PEM
    #[arg(long, value_name = "FILE", requires = "issuer", conflicts_with = "linkerd_manifest")]
    trust_anchor: Option<PathBuf>,
    /// The issuer that it signed: certificate and key in one file, PEM
    #[arg(long, value_name = "FILE", requires = "trust_anchor")]
    issuer: Option<PathBuf>,
}

impl Flags {
    /// What these flags choose for a lab that was told `known` before.
    ///
    /// # Errors
    /// It would take away what is installed.
    pub fn choice(&self, known: Option<&Choice>) -> anyhow::Result<Choice> {
        Choice::of(self, known)
    }

    /// Reads the files and gives the options for a choice; what the cluster has built in is left out.
    ///
    /// # Errors
    /// A file cannot be read or holds something else.
    pub fn options(
        &self,
        choice: &Choice,
        built_in_mesh: bool,
        built_in_ingress: bool,
    ) -> anyhow::Result<Options> {
        let identity = match (&self.trust_anchor, &self.issuer) {
            (Some(anchor), Some(issuer)) => {
                Some(Identity::bring(&read(anchor)?, &read(issuer)?).exit(Exit::Usage)?)
            }
            _ => None,
        };
        let given = match &choice.linkerd_manifest {
            None => None,
            Some(file) => {
                let mut objects = match &choice.linkerd_crds {
                    Some(crds) => objects(crds)?,
                    None => Vec::new(),
                };
                objects.extend(objects_of_linkerd(file)?);
                Some(objects)
            }
        };
        Ok(Options {
            ingress: if built_in_ingress { Ingress::None } else { choice.ingress },
            mesh: if built_in_mesh { Mesh::None } else { choice.mesh },
            image_registry: choice.image_registry.clone(),
            linkerd: linkerd::Settings {
                version: choice.linkerd_version.clone(),
                ..linkerd::Settings::default()
            },
            linkerd_manifest: given,
            identity,
        })
    }
}

fn objects_of_linkerd(file: &Path) -> anyhow::Result<Vec<Object>> {
    let objects = objects(file)?;
    let is_config = |o: &Object| o.metadata.name.as_deref() == Some("linkerd-config");
    anyhow::ensure!(
        objects.iter().any(is_config),
        "{} is not the output of `linkerd install`: it has no ConfigMap `linkerd-config`",
        file.display()
    );
    Ok(objects)
}

fn objects(file: &Path) -> anyhow::Result<Vec<Object>> {
    manifest::parse(&read(file)?).with_context(|| format!("in {}", file.display())).exit(Exit::Usage)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let text = input::any_text(file);
    text.with_context(|| format!("cannot read {}", file.display())).exit(Exit::Usage)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    #[test]
    fn what_a_cluster_has_built_in_is_not_installed() {
        let flags = Line::parse_from(["up"]).flags;
        let options = flags.options(&flags.choice(None).unwrap(), true, false).unwrap();
        assert_eq!((options.mesh, options.ingress), (Mesh::None, Ingress::Nginx));
    }

    #[test]
    fn a_file_that_is_no_control_plane_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n").unwrap();
        let path = file.path().to_str().unwrap();
        let flags = Line::parse_from(["up", "--linkerd-manifest", path]).flags;
        let error = flags.options(&flags.choice(None).unwrap(), false, false).unwrap_err();
        assert!(error.to_string().contains("linkerd-config"), "{error}");
        assert!(Line::try_parse_from(["up", "--trust-anchor", path]).is_err(), "an anchor needs its issuer");
    }
}
