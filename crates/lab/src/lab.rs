//! A lab: the record in the state folder that ties a name to its cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::addons;
use meshy_base::private;

mod env;
pub(crate) mod files;
mod folder;
mod layout;
mod load;
mod lock;
mod name;
mod programs;

pub use env::{Ask, Env};
pub(crate) use files::RECORD;
pub use folder::{absent, exists, names, unnamed};
pub(crate) use folder::{ensure_folder, remove_empty};
pub use folder::{folder, labs_folder};
pub use lock::{Lock, lock};
pub use name::{InvalidLabName, LabName};
pub use programs::{Program, Programs};

/// Where a lab's cluster comes from; a lab keeps it for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Kubernetes in Docker.
    Kind,
    /// A cluster that meshy did not make.
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

/// What is known of a lab across runs. Unknown fields of a newer meshy are an error: better than dropping them.
///
/// Some fields lead out of the lab's folder, by their nature: `kubeconfig` is the user's file, in which only the entries of this
/// lab's own context are ever changed (`load` refuses a record with another context), and `overlays`, `topology` and `files` are
/// only read; `programs` are what the user's `up` named, and run as the user. No other field is a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The lab's name, which is its folder's.
    pub name: LabName,
    /// Where its cluster comes from.
    pub provider: Provider,
    /// The kubeconfig context that reaches it.
    pub context: String,
    /// The kubeconfig that holds the context; none is the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Loopback port of the ingress for HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// Loopback port of the ingress for HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_port: Option<u16>,
    /// Loopback port of the private registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_port: Option<u16>,
    /// The test service's image, as the overlays run it: what the registry answered, or `--image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What the pushed image was made of, to know it again without packing it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_made_of: Option<String>,
    /// The node image the cluster is made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_image: Option<String>,
    /// Worker nodes next to the control plane.
    #[serde(default)]
    pub workers: u8,
    /// The image of the private registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_image: Option<String>,
    /// The engine's network for nodes came with this lab and may go with it.
    #[serde(default)]
    pub made_network: bool,
    /// The kubeconfig's current context before this lab's took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_context: Option<String>,
    /// Nodes were all there once: what is missing since then is a fault and not a beginning.
    #[serde(default)]
    pub made: bool,
    /// An embedded cluster keeps Linkerd's rule that a new profile is unseen until discovery was idle for 5 s.
    #[serde(default)]
    pub like_linkerd: bool,
    /// The choice of ingress and mesh: without flags it goes on with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addons: Option<addons::Choice>,
    /// What `up` was asked to deploy; empty is what it deploys by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<String>,
    /// The topology that `up` deploys instead of overlays: a shipped name, or the absolute path of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// The files and folders of manifests that `up` deploys instead of overlays: absolute paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The services that the test service stands in for, as `--stub` names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stubs: Vec<String>,
    /// The programs of this machine that containers of an embedded lab run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<Programs>,
    /// The programs that the embedded cluster's process was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_programs: Option<Programs>,
    /// The nodes' addresses when the lab was last seen whole: a restart of the engine may give them again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, String>,
}

impl Record {
    /// The record of a lab that nothing is known of yet.
    pub fn new(name: &LabName, provider: Provider, context: String) -> Self {
        Self {
            name: name.clone(),
            provider,
            context,
            kubeconfig: None,
            http_port: None,
            https_port: None,
            registry_port: None,
            image: None,
            image_made_of: None,
            node_image: None,
            workers: 0,
            registry_image: None,
            made_network: false,
            previous_context: None,
            made: false,
            like_linkerd: false,
            addons: None,
            overlays: Vec::new(),
            topology: None,
            files: Vec::new(),
            stubs: Vec::new(),
            programs: None,
            served_programs: None,
            addresses: BTreeMap::new(),
        }
    }

    /// Whether meshy did not make the cluster.
    pub fn is_foreign(&self) -> bool {
        self.provider.own_context(&self.name).is_none()
    }

    /// Writes the record so that a reader sees the old one or the new one, never a part.
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
