//! What a new cluster should be like, and what a lab that is there keeps.

use anyhow::anyhow;

use crate::lab::{KindState, Programs, Record};
use meshy_base::error::{Advise, Exit};

/// The node image of kind 0.31: Kubernetes 1.35 is the newest that Linkerd 2.20 lists.
pub(super) const NODE_IMAGE: &str =
    "kindest/node:v1.35.0@sha256:452d707d4862f52530247495d180205e029056831160e22870e37e3f6c1ac31f";

/// Workers where no number was given.
const WORKERS: u8 = 2;

/// What a new cluster should be like. A lab that is there keeps what it was made with.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Worker nodes in addition to the control plane; 2 by default.
    pub workers: Option<u8>,
    /// The image of the nodes; by default that of `MESHY_NODE_IMAGE`, else kind's.
    pub node_image: Option<String>,
    /// The image of the private registry; by default that of `MESHY_REGISTRY_IMAGE`, else `registry:2`.
    pub registry_image: Option<String>,
    /// Embedded only: a client uses a new profile after its discovery was idle for 5 s, as on a real Linkerd.
    pub like_linkerd: bool,
    /// No ingress controller is installed, so its ports are of no interest.
    pub without_ingress: bool,
    /// Embedded only: programs of this machine that containers run; none leaves a lab those that it has.
    pub programs: Option<Programs>,
}

impl Spec {
    /// Writes into the record what was requested; where no flag was given, what an earlier run that did not get to its end was
    /// given, else the environment, else the defaults.
    pub(super) fn note(&self, kind: &mut KindState, begun: bool) {
        let from = |variable| std::env::var(variable).ok().filter(|v: &String| !v.is_empty());
        let before = begun.then(|| kind.clone());
        let before = before.as_ref();
        kind.workers = self.workers.or(before.map(|b| b.workers)).unwrap_or(WORKERS);
        let node_image = self.node_image.clone().or_else(|| before?.node_image.clone());
        let node_image = node_image.or_else(|| from("MESHY_NODE_IMAGE"));
        kind.node_image = Some(node_image.unwrap_or_else(|| NODE_IMAGE.to_owned()));
        let registry_image = self.registry_image.clone().or_else(|| before?.registry_image.clone());
        let registry_image = registry_image.or_else(|| from("MESHY_REGISTRY_IMAGE"));
        kind.registry_image = Some(registry_image.unwrap_or_else(|| "registry:2".to_owned()));
    }

    /// Refuses flags that a lab which is there cannot follow; the environment applies to new labs only.
    ///
    /// # Errors
    /// Such a flag was given.
    pub(super) fn fits(&self, record: &Record) -> anyhow::Result<()> {
        let kind = record.kind()?;
        let image = |asked: &Option<String>, has: &Option<String>| asked.is_some() && asked != has;
        let has = if self.workers.is_some_and(|w| w != kind.workers) {
            format!("{} workers", kind.workers)
        } else if image(&self.node_image, &kind.node_image) {
            format!("nodes from `{}`", kind.node_image.as_deref().unwrap_or_default())
        } else if image(&self.registry_image, &kind.registry_image) {
            format!("a registry from `{}`", kind.registry_image.as_deref().unwrap_or_default())
        } else {
            return Ok(());
        };
        Err(anyhow!("lab `{}` was created with {has}, which cannot be changed", record.name))
            .hint(format!(
                "`--name` creates another lab; `meshy down --name {}` deletes this one",
                record.name
            ))
            .exit(Exit::Usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Provider;

    #[test]
    fn a_lab_that_is_there_refuses_other_nodes_and_a_begun_one_takes_them() {
        let mut record = Record::new(&"x".parse().unwrap(), Provider::Kind, "kind-x".into());
        let has = |record: &Record| {
            let kind = record.kind().unwrap();
            (kind.workers, kind.node_image.clone())
        };
        let one = Spec { workers: Some(1), node_image: Some("n:1".into()), ..Spec::default() };
        one.note(record.kind_mut().unwrap(), false);
        assert_eq!(has(&record), (1, Some("n:1".to_owned())));
        // A killed run's choice stays; a new one wins.
        Spec::default().note(record.kind_mut().unwrap(), true);
        assert_eq!(has(&record), (1, Some("n:1".to_owned())));
        assert!(Spec::default().fits(&record).is_ok() && one.fits(&record).is_ok());
        let other = Spec { workers: Some(3), ..Spec::default() };
        assert!(other.fits(&record).unwrap_err().to_string().contains("created with 1 workers"));
        other.note(record.kind_mut().unwrap(), true);
        assert_eq!(has(&record).0, 3);
    }
}
