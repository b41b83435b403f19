//! A lab: the record in the state folder that ties a name to its cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

use crate::addons;
use crate::private;

mod lock;

pub use lock::{Lock, lock};

/// Where a lab's cluster comes from; a lab keeps it for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Kubernetes in Docker.
    Kind,
    /// A cluster that meshy did not make.
    Existing,
    /// The stand-in inside this program.
    Embedded,
}

/// What is known of a lab across runs. Unknown fields of a newer meshy are an error: better than dropping them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The lab's name.
    pub name: String,
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
    /// Worker nodes beside the control plane.
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
    /// What `up` was told about ingress and mesh: without flags it goes on with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addons: Option<addons::Choice>,
    /// What `up` was told to deploy; empty is what it deploys by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<String>,
    /// The nodes' addresses when the lab was last seen whole: a restart of the engine may give them anew.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, String>,
}

/// The folder that holds a folder for each lab: `$XDG_STATE_HOME/meshy/labs`.
///
/// # Errors
/// No home folder is known.
pub fn labs_folder() -> anyhow::Result<PathBuf> {
    let base = etcetera::choose_base_strategy().context("cannot find the home folder")?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("meshy").join("labs"))
}

/// A lab's own folder; it need not exist.
///
/// # Errors
/// No home folder is known.
pub fn folder(name: &str) -> anyhow::Result<PathBuf> {
    Ok(labs_folder()?.join(name))
}

/// Takes away what the lock of a lab that never came to be leaves: a refusal has no side effect. Folders with anything else in
/// them stay.
pub fn discard(name: &str) {
    let Ok(folder) = folder(name) else { return };
    let _ = fs::remove_file(folder.join("lock"));
    for folder in folder.ancestors().take(3) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

impl Record {
    /// The record of a lab that nothing is known of yet.
    pub fn new(name: &str, provider: Provider, context: String) -> Self {
        Self {
            name: name.to_owned(),
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
            addresses: BTreeMap::new(),
        }
    }

    /// The record of a lab, if there is one.
    ///
    /// # Errors
    /// The record cannot be read or understood.
    pub fn load(name: &str) -> anyhow::Result<Option<Self>> {
        let file = folder(name)?.join("lab.json");
        let text = match crate::input::regular(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let record = serde_json::from_slice(&text);
        Ok(Some(record.with_context(|| format!("cannot understand the lab's record {}", file.display()))?))
    }

    /// Writes the record so that a reader sees the old one or the new one, never a part.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self) -> anyhow::Result<()> {
        let folder = folder(&self.name)?;
        private::ensure_folder(&folder)?;
        private::replace(&folder.join("lab.json"), &serde_json::to_vec_pretty(self)?)
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
        let folder = labs_folder()?;
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
        };
        let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names.iter().filter_map(|name| Self::load(name).transpose()).collect()
    }
}
