//! From what the user requests and the lab's earlier choice to the options of the installation.

use std::path::Path;

use anyhow::Context as _;
use meshy_base::error::{Advise, Exit};
use meshy_base::input;
use meshy_kube::{Object, manifest};

use super::certificates::Identity;
use super::{Choice, Ingress, Mesh, Options, Request, linkerd};

impl Request {
    /// Returns the choice for a lab whose earlier choice was `known`.
    ///
    /// # Errors
    /// Returns an error if it would remove what is installed.
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
        let identity = match &self.identity {
            Some((anchor, issuer)) => {
                Some(Identity::bring(&read(anchor)?, &read(issuer)?).exit(Exit::Usage)?)
            }
            None => None,
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
                proxy_log: choice.proxy_log.clone().unwrap_or_else(|| linkerd::PROXY_LOG.to_owned()),
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
    use super::*;

    #[test]
    fn what_a_cluster_has_built_in_is_not_installed() {
        let request = Request::default();
        let options = request.options(&request.choice(None).unwrap(), true, false).unwrap();
        assert_eq!((options.mesh, options.ingress), (Mesh::None, Ingress::Nginx));
    }

    #[test]
    fn a_file_that_is_not_a_control_plane_is_rejected_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n").unwrap();
        let request = Request { linkerd_manifest: Some(file.path().to_owned()), ..Request::default() };
        let error = request.options(&request.choice(None).unwrap(), false, false).unwrap_err();
        assert!(error.to_string().contains("linkerd-config"), "{error}");
    }
}
