//! What the record of a lab keeps of its cluster: one variant per provider, each with the fields that only it has.

use std::collections::BTreeMap;

use anyhow::anyhow;

use super::{Programs, Provider, Record};

/// The cluster of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClusterState {
    /// Kubernetes in Docker.
    Kind(KindState),
    /// A cluster that meshy did not create: nothing is kept.
    Existing,
    /// The embedded cluster.
    Embedded(EmbeddedState),
}

/// A KinD cluster and its private registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KindState {
    /// Loopback port of the ingress for HTTP.
    pub(crate) http_port: Option<u16>,
    /// Loopback port of the ingress for HTTPS.
    pub(crate) https_port: Option<u16>,
    /// Loopback port of the private registry.
    pub(crate) registry_port: Option<u16>,
    /// What the pushed image was made of, so that the same one is not packed again.
    pub(crate) image_made_of: Option<String>,
    /// The node image the cluster is made with.
    pub(crate) node_image: Option<String>,
    /// Worker nodes next to the control plane.
    pub(crate) workers: u8,
    /// The image of the private registry.
    pub(crate) registry_image: Option<String>,
    /// The engine's network for nodes came with this lab and may go with it.
    pub(crate) made_network: bool,
    /// The nodes' addresses when the lab was last complete: a restart of the engine may give them again.
    pub(crate) addresses: BTreeMap<String, String>,
}

/// An embedded cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EmbeddedState {
    /// Loopback port of the ingress for HTTP.
    pub(crate) http_port: Option<u16>,
    /// Clients use a new profile only after their discovery was idle for 5 s, as with Linkerd.
    pub(crate) like_linkerd: bool,
    /// The programs of this machine that containers run.
    pub(crate) programs: Option<Programs>,
    /// The programs that the cluster's process was started with.
    pub(crate) served_programs: Option<Programs>,
    /// The log level of the proxies that the cluster's process was started with.
    pub(crate) served_proxy_log: Option<String>,
}

impl ClusterState {
    /// Returns the state of a cluster of which nothing is known yet.
    pub(crate) fn new(provider: Provider) -> Self {
        match provider {
            Provider::Kind => Self::Kind(KindState::default()),
            Provider::Existing => Self::Existing,
            Provider::Embedded => Self::Embedded(EmbeddedState::default()),
        }
    }

    /// Returns the provider of the cluster.
    pub(crate) fn provider(&self) -> Provider {
        match self {
            Self::Kind(_) => Provider::Kind,
            Self::Existing => Provider::Existing,
            Self::Embedded(_) => Provider::Embedded,
        }
    }
}

impl Record {
    /// Returns where the lab's cluster comes from.
    pub fn provider(&self) -> Provider {
        self.cluster.provider()
    }

    /// Returns the loopback port of the ingress for HTTP, where this machine has one.
    pub fn http_port(&self) -> Option<u16> {
        match &self.cluster {
            ClusterState::Kind(kind) => kind.http_port,
            ClusterState::Existing => None,
            ClusterState::Embedded(embedded) => embedded.http_port,
        }
    }

    /// Returns the loopback port of the private registry, where the lab has one.
    pub fn registry_port(&self) -> Option<u16> {
        self.kind().ok().and_then(|kind| kind.registry_port)
    }

    /// Whether clients use a new profile only after their discovery was idle for 5 s, on a cluster where that is a choice.
    pub fn like_linkerd(&self) -> bool {
        self.embedded().is_ok_and(|embedded| embedded.like_linkerd)
    }

    /// Returns the log level of the proxies, if one was chosen.
    pub(crate) fn proxy_log(&self) -> Option<&str> {
        self.addons.as_ref()?.proxy_log.as_deref()
    }

    /// Returns the programs of this machine that containers run, on a cluster that runs programs.
    pub fn programs(&self) -> Option<&Programs> {
        self.embedded().ok().and_then(|embedded| embedded.programs.as_ref())
    }

    /// Returns the state of a KinD cluster.
    ///
    /// # Errors
    /// The lab has another provider.
    pub(crate) fn kind(&self) -> anyhow::Result<&KindState> {
        match &self.cluster {
            ClusterState::Kind(kind) => Ok(kind),
            _ => Err(self.other_provider(Provider::Kind)),
        }
    }

    /// As [`Record::kind`], to change it.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn kind_mut(&mut self) -> anyhow::Result<&mut KindState> {
        let error = self.other_provider(Provider::Kind);
        match &mut self.cluster {
            ClusterState::Kind(kind) => Ok(kind),
            _ => Err(error),
        }
    }

    /// Returns the state of an embedded cluster.
    ///
    /// # Errors
    /// The lab has another provider.
    pub(crate) fn embedded(&self) -> anyhow::Result<&EmbeddedState> {
        match &self.cluster {
            ClusterState::Embedded(embedded) => Ok(embedded),
            _ => Err(self.other_provider(Provider::Embedded)),
        }
    }

    /// As [`Record::embedded`], to change it.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn embedded_mut(&mut self) -> anyhow::Result<&mut EmbeddedState> {
        let error = self.other_provider(Provider::Embedded);
        match &mut self.cluster {
            ClusterState::Embedded(embedded) => Ok(embedded),
            _ => Err(error),
        }
    }

    fn other_provider(&self, expected: Provider) -> anyhow::Error {
        anyhow!("lab `{}` is on provider {:?} and not on {expected:?}", self.name, self.provider())
    }
}
