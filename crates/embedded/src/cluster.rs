//! The whole cluster as one value: started, used, stopped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What a cluster is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The lab's name; the kubeconfig context is `embedded-NAME`.
    pub name: String,
    /// Where certificates and the snapshot are kept; none keeps everything in memory.
    pub state_dir: Option<PathBuf>,
    /// Where the API is served over HTTPS; port 0 takes a free one. None serves it in-process only.
    pub api_addr: Option<SocketAddr>,
    /// Ports of 127.0.0.1 to try for the ingress, in order; empty means 80, 8080 and upwards, then any.
    pub ingress_ports: Vec<u16>,
    /// Keep Linkerd's rule that a client sees a new profile only after its discovery was idle for 5 s.
    pub like_linkerd: bool,
}

impl Options {
    /// A cluster in memory on ports that the system chooses.
    pub fn ephemeral(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state_dir: None,
            api_addr: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ingress_ports: vec![0],
            like_linkerd: false,
        }
    }
}

/// A running cluster; [`Cluster::stop`] ends it in good order.
#[derive(Debug)]
pub struct Cluster {
    ingress: SocketAddr,
    kubeconfig: String,
}

/// Why a cluster could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be had.
    #[error("bind the {what} port")]
    Bind {
        /// Which socket.
        what: &'static str,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A state file could not be read or written.
    #[error("{act} the state file `{file}`")]
    State {
        /// Read or write.
        act: &'static str,
        /// Its path.
        file: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// The API server refused or failed.
    #[error("{0}")]
    Api(String),
}

impl Cluster {
    /// Starts API, controllers, node and ingress; returns when the API answers and the ingress port is bound.
    ///
    /// # Errors
    /// When a port cannot be bound or the state folder cannot be read.
    #[expect(clippy::unused_async, reason = "the parts join here as they land")]
    pub async fn start(options: Options) -> Result<Self, Error> {
        Err(Error::Api(format!("the embedded cluster `{}` cannot be started yet", options.name)))
    }

    /// A kubeconfig with one context, `embedded-NAME`, whose user is administrator.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig.clone()
    }

    /// A client that talks to the API in-process, without a socket.
    pub fn client(&self) -> kube::Client {
        unreachable!("no cluster is started yet")
    }

    /// Where the ingress listens.
    pub fn ingress_addr(&self) -> SocketAddr {
        self.ingress
    }

    /// Stops everything; with a state folder the objects are kept for the next start.
    ///
    /// # Errors
    /// When the snapshot cannot be written.
    #[expect(clippy::unused_async, reason = "the parts join here as they land")]
    pub async fn stop(self) -> Result<(), Error> {
        Ok(())
    }
}
