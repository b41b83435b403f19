//! A lab: the record in the state folder that ties a name to its cluster.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::addons;
use meshy_base::private;

mod cluster_state;
mod env;
pub(crate) mod files;
mod folder;
mod layout;
mod load;
mod lock;
mod name;
mod programs;
mod stored;

#[cfg(test)]
pub(crate) use cluster_state::EmbeddedState;
pub(crate) use cluster_state::{ClusterState, KindState};
pub use env::{Ask, Env};
pub(crate) use files::RECORD;
pub use folder::{absent, advice_on_invalid_name, exists, names, unnamed};
pub(crate) use folder::{ensure_folder, remove_empty};
pub use folder::{folder, labs_folder};
pub use lock::{Lock, lock};
pub use name::{InvalidLabName, LabName};
pub use programs::{Program, Programs};
use stored::Stored;

/// Where a lab's cluster comes from; a lab keeps it for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Kubernetes in Docker.
    Kind,
    /// A cluster that meshy did not create.
    Existing,
    /// The embedded cluster in this program.
    Embedded,
}

impl Provider {
    /// Returns the kubeconfig context that meshy makes for a lab; none where the cluster, and so its context, is the user's.
    pub(crate) fn own_context(self, name: &LabName) -> Option<String> {
        match self {
            Self::Kind => Some(format!("kind-{name}")),
            Self::Embedded => Some(format!("embedded-{name}")),
            Self::Existing => None,
        }
    }
}

/// What is known of a lab across runs.
///
/// Some fields lead out of the lab's folder, by their nature: `kubeconfig` is the user's file, in which only the entries of this
/// lab's own context are ever changed (`load` refuses a record with another context), and `overlays`, `topology` and `files` are
/// only read; programs are what the user's `up` named, and run as the user. No other field is a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Record {
    /// The lab's name, which is its folder's.
    pub name: LabName,
    /// The kubeconfig context that reaches it.
    pub context: String,
    /// What the provider keeps of its cluster.
    pub(crate) cluster: ClusterState,
    /// The kubeconfig that holds the context; none is the user's own.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The test service's image, as the overlays run it: what the registry returned, or `--image`.
    pub image: Option<String>,
    /// The kubeconfig's current context before this lab's took its place.
    pub(crate) previous_context: Option<String>,
    /// Set once the cluster was complete: a part that is missing from then on is an error.
    pub made: bool,
    /// The choice of ingress and mesh: without flags it goes on with that.
    pub addons: Option<addons::Choice>,
    /// What `up` was requested to deploy; empty: what it deploys by default.
    pub overlays: Vec<String>,
    /// The topology that `up` deploys instead of overlays: a shipped name, or the absolute path of a file.
    pub topology: Option<String>,
    /// The files and folders of manifests that `up` deploys instead of overlays: absolute paths.
    pub files: Vec<String>,
    /// The services that the test service stands in for, as `--stub` names them.
    pub stubs: Vec<String>,
}

impl Record {
    /// The record of a lab that nothing is known of yet.
    pub fn new(name: &LabName, provider: Provider, context: String) -> Self {
        Self {
            name: name.clone(),
            context,
            cluster: ClusterState::new(provider),
            kubeconfig: None,
            image: None,
            previous_context: None,
            made: false,
            addons: None,
            overlays: Vec::new(),
            topology: None,
            files: Vec::new(),
            stubs: Vec::new(),
        }
    }

    /// Records that an add-on was installed with these settings.
    pub fn add_installed(&mut self, settings: addons::Choice, installed: &addons::Installed) {
        self.addons = Some(settings.after_install(self.addons.as_ref(), installed));
    }

    /// Whether meshy did not create the cluster.
    pub fn is_foreign(&self) -> bool {
        self.provider().own_context(&self.name).is_none()
    }

    /// Writes the record so that a reader gets the old one or the new one, never a part.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self) -> anyhow::Result<()> {
        let folder = ensure_folder(&self.name)?;
        private::replace(&folder.join(RECORD), &serde_json::to_vec_pretty(self)?)
    }

    /// The record of the lab whose cluster a kubeconfig's context names.
    ///
    /// # Errors
    /// As [`Record::all`].
    pub fn on_context(context: &str) -> anyhow::Result<Option<Self>> {
        Ok(Self::all()?.into_iter().find(|lab| lab.context == context))
    }

    /// All labs with a record, by name.
    ///
    /// # Errors
    /// The state folder or a record cannot be read.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        names()?.iter().filter_map(|name| Self::load(name).transpose()).collect()
    }
}
