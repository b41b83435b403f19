//! A lab's choice of add-ons, kept in its record: a plain `up` goes on with it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};

use super::{Ingress, Installed, Mesh, Request, images};
use meshy_base::error::{Advise, Exit};

/// The choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The ingress controller.
    pub ingress: Ingress,
    /// The mesh.
    pub mesh: Mesh,
    /// A registry that has all images, instead of the default ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_registry: Option<String>,
    /// The tag of Linkerd's images.
    pub linkerd_version: String,
    /// The log level of the proxies; none is the mesh's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_log: Option<String>,
    /// The official manifest that is applied instead of meshy's own; `-` is one that came from stdin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linkerd_manifest: Option<PathBuf>,
    /// The official definitions that go before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linkerd_crds: Option<PathBuf>,
    /// They were all installed once: another choice adds to them and does not take away.
    #[serde(default)]
    pub installed: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            ingress: Ingress::default(),
            mesh: Mesh::default(),
            image_registry: None,
            linkerd_version: images::LINKERD_VERSION.to_owned(),
            proxy_log: None,
            linkerd_manifest: None,
            linkerd_crds: None,
            installed: false,
        }
    }
}

impl Choice {
    /// What the flags choose, and without flags the lab's earlier choice.
    ///
    /// # Errors
    /// The flags would take away what is installed, the lab needs a file again that came from stdin, or a level is given for the
    /// proxies of a manifest that meshy does not change.
    pub(super) fn of(flags: &Request, known: Option<&Self>) -> anyhow::Result<Self> {
        let before = known.cloned().unwrap_or_default();
        let ingress = flags.ingress.unwrap_or(before.ingress);
        let mesh = flags.mesh.unwrap_or(before.mesh);
        if before.installed {
            let loses_ingress =
                (before.ingress != Ingress::None && ingress == Ingress::None).then_some("ingress-nginx");
            let loses_mesh = (before.mesh != Mesh::None && mesh == Mesh::None).then_some("Linkerd");
            if let Some(thing) = loses_ingress.or(loses_mesh) {
                return Err(anyhow!("the lab has {thing}, and `up` removes nothing"))
                    .hint("`--name` creates another lab next to it; `meshy down` deletes this one")
                    .exit(Exit::Usage);
            }
        }
        let (linkerd_manifest, linkerd_crds) = match &flags.linkerd_manifest {
            Some(given) => (Some(absolute(given)?), flags.linkerd_crds.as_deref().map(absolute).transpose()?),
            None => (before.linkerd_manifest, before.linkerd_crds),
        };
        let stdin = Some(Path::new("-"));
        let missing = linkerd_manifest.as_deref() == stdin || linkerd_crds.as_deref() == stdin;
        if missing && flags.linkerd_manifest.is_none() && mesh != Mesh::None {
            return Err(anyhow!("the lab's Linkerd came from stdin, which can be read only once"))
                .hint("pass it again with `--linkerd-manifest`")
                .exit(Exit::Usage);
        }
        if flags.proxy_log.is_some() && linkerd_manifest.is_some() {
            return Err(anyhow!("`--proxy-log` has no effect on the manifest of `--linkerd-manifest`"))
                .hint("pass the level to `linkerd install`: `--set proxy.logLevel=LEVEL`")
                .exit(Exit::Usage);
        }
        Ok(Self {
            ingress,
            mesh,
            image_registry: flags.image_registry.clone().or(before.image_registry),
            linkerd_version: flags.linkerd_version.clone().unwrap_or(before.linkerd_version),
            proxy_log: flags.proxy_log.clone().or(before.proxy_log),
            linkerd_manifest,
            linkerd_crds,
            installed: before.installed,
        })
    }

    /// Returns the choice of a lab whose earlier choice was `known`, after an add-on was installed with these settings. The other
    /// add-on stays as the lab has it; a lab without an earlier choice does not have it.
    #[must_use]
    pub fn after_install(self, known: Option<&Self>, installed: &Installed) -> Self {
        let none = || Self { ingress: Ingress::None, mesh: Mesh::None, ..Self::default() };
        let before = known.cloned().unwrap_or_else(none);
        let (ingress, mesh) = (installed.ingress.is_some(), installed.mesh.is_some());
        // What an `up` has chosen and not installed yet may still be given up.
        let all = (ingress || before.ingress == Ingress::None) && (mesh || before.mesh == Mesh::None);
        Self {
            ingress: if ingress { Ingress::Nginx } else { before.ingress },
            mesh: if mesh { Mesh::Linkerd } else { before.mesh },
            installed: before.installed || all,
            ..if mesh { self } else { Self { image_registry: self.image_registry, ..before } }
        }
    }
}

fn absolute(file: &Path) -> anyhow::Result<PathBuf> {
    if file == Path::new("-") {
        return Ok(file.to_owned());
    }
    std::path::absolute(file).context("cannot find the current folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(request: Request, known: Option<&Choice>) -> anyhow::Result<Choice> {
        Choice::of(&request, known)
    }

    fn manifest(file: &str) -> Request {
        Request { linkerd_manifest: Some(file.into()), ..Request::default() }
    }

    fn mesh(mesh: Mesh) -> Request {
        Request { mesh: Some(mesh), ..Request::default() }
    }

    #[test]
    fn a_plain_up_goes_on_with_the_earlier_choice() {
        let first = Request {
            ingress: Some(Ingress::None),
            image_registry: Some("localhost:5001".to_owned()),
            ..mesh(Mesh::None)
        };
        let first = choice(first, None).unwrap();
        assert_eq!(choice(Request::default(), Some(&first)).unwrap(), first);
        let more = choice(mesh(Mesh::Linkerd), Some(&Choice { installed: true, ..first })).unwrap();
        assert_eq!((more.mesh, more.ingress), (Mesh::Linkerd, Ingress::None));
        assert_eq!(more.image_registry.as_deref(), Some("localhost:5001"));
    }

    #[test]
    fn what_is_installed_is_not_taken_away_and_what_is_not_may_be_given_up() {
        let wanted = choice(Request::default(), None).unwrap();
        assert_eq!(choice(mesh(Mesh::None), Some(&wanted)).unwrap().mesh, Mesh::None);
        let there = Choice { installed: true, ..wanted };
        let error = choice(mesh(Mesh::None), Some(&there)).unwrap_err();
        assert!(error.to_string().contains("the lab has Linkerd"), "{error}");
        assert!(
            choice(Request { ingress: Some(Ingress::None), ..Request::default() }, Some(&there)).is_err()
        );
    }

    #[test]
    fn a_later_up_repeats_the_log_level_of_the_proxies() {
        let level = |level: &str| Request { proxy_log: Some(level.to_owned()), ..Request::default() };
        let first = choice(level("debug"), None).unwrap();
        let again = choice(Request::default(), Some(&first)).unwrap();
        assert_eq!(again.proxy_log.as_deref(), Some("debug"));
        assert_eq!(choice(level("warn"), Some(&again)).unwrap().proxy_log.as_deref(), Some("warn"));
        let given = choice(manifest("l.yaml"), None).unwrap();
        let error = choice(level("debug"), Some(&given)).unwrap_err().to_string();
        assert!(error.contains("`--linkerd-manifest`"), "{error}");
    }

    fn ingress() -> Installed {
        Installed { ingress: Some("8 created".to_owned()), mesh: None }
    }

    fn linkerd() -> Installed {
        Installed { ingress: None, mesh: Some("40 created".to_owned()) }
    }

    #[test]
    fn an_installed_ingress_controller_is_recorded_and_the_mesh_stays_as_it_is() {
        let known = |ingress, mesh, installed| {
            Some(Choice { ingress, mesh, installed, linkerd_version: "v1".to_owned(), ..Choice::default() })
        };
        let registry = Request {
            image_registry: Some("localhost:5001".to_owned()),
            linkerd_version: Some("v2".to_owned()),
            ..Request::default()
        };
        for (known, mesh, installed) in [
            (None, Mesh::None, true),
            (known(Ingress::None, Mesh::None, true), Mesh::None, true),
            (known(Ingress::None, Mesh::Linkerd, true), Mesh::Linkerd, true),
            // An `up` that did not get to its end.
            (known(Ingress::None, Mesh::Linkerd, false), Mesh::Linkerd, false),
        ] {
            let chosen = choice(registry.clone(), known.as_ref()).unwrap();
            let after = chosen.after_install(known.as_ref(), &ingress());
            assert_eq!((after.ingress, after.mesh), (Ingress::Nginx, mesh), "{known:?}");
            assert_eq!(after.installed, installed, "{known:?}");
            assert_eq!(after.image_registry.as_deref(), Some("localhost:5001"), "{known:?}");
            assert_ne!(after.linkerd_version, "v2", "Linkerd is not installed");
            assert_eq!(choice(Request::default(), Some(&after)).unwrap(), after, "a later `up` repeats it");
        }
    }

    #[test]
    fn an_installed_linkerd_is_recorded_with_its_settings_and_the_ingress_controller_stays_as_it_is() {
        let version = Request { linkerd_version: Some("v2".to_owned()), ..Request::default() };
        for (kept, installed) in [(Ingress::Nginx, ingress()), (Ingress::None, Installed::default())] {
            let before = Choice::default().after_install(None, &installed);
            let chosen = choice(version.clone(), Some(&before)).unwrap();
            let after = chosen.after_install(Some(&before), &linkerd());
            assert_eq!((after.ingress, after.mesh), (kept, Mesh::Linkerd));
            assert_eq!((after.linkerd_version.as_str(), after.installed), ("v2", true));
        }
    }

    #[test]
    fn a_manifest_from_stdin_must_be_given_again() {
        let first = choice(manifest("-"), None).unwrap();
        assert!(choice(Request::default(), Some(&first)).unwrap_err().to_string().contains("stdin"));
        let file = choice(manifest("l.yaml"), Some(&first)).unwrap().linkerd_manifest.unwrap();
        assert!(file.is_absolute() && file.ends_with("l.yaml"));
    }
}
