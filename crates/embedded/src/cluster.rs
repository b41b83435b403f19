//! The whole cluster as one value: started, used, stopped.

mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use meshy_apiserver::{RunningServer, Server};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::api::{Api, DEPLOYMENTS, Delete, PODS, REPLICA_SETS};
use crate::backend::Backend;
use crate::mesh::Mesh;
use crate::mesh::identity::Authority;
use crate::mesh::inject::Injector;
use crate::network::{Fabric, outside};
use crate::node::Node;
use crate::object::{name, namespace, uid};
use crate::topology::Topology;
use crate::{built_in, controllers, ingress};
use state::Keys;

/// What a cluster is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The lab's name; the kubeconfig context is `embedded-NAME`.
    pub name: String,
    /// Where keys and the snapshot are kept; none keeps everything in memory.
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

/// A running cluster; [`Cluster::stop`] ends it in good order, dropping it ends it at once.
pub struct Cluster {
    options: Options,
    server: Server,
    served: Option<RunningServer>,
    keys: Keys,
    ingress: SocketAddr,
    tasks: JoinSet<()>,
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

impl From<meshy_apiserver::ApiError> for Error {
    fn from(error: meshy_apiserver::ApiError) -> Self {
        Self::Api(error.to_string())
    }
}

impl From<crate::api::ApiError> for Error {
    fn from(error: crate::api::ApiError) -> Self {
        Self::Api(error.to_string())
    }
}

impl Cluster {
    /// Starts API, controllers, node and ingress; returns when the API answers and the ingress port is bound.
    ///
    /// # Errors
    /// When a port cannot be bound, the state folder cannot be read, or its snapshot is of another format.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let door = outside::bind_first(&outside::ingress_ports(&options.ingress_ports))
            .await
            .map_err(|source| Error::Bind { what: "ingress", source })?;
        let ingress = door.local_addr().map_err(|source| Error::Bind { what: "ingress", source })?;
        let keys = Keys::of(options.state_dir.as_deref())?;
        let authority =
            Authority::new().map_err(|error| Error::Api(format!("make the mesh's trust anchor: {error}")))?;
        let injector = Arc::new(Injector { authority: authority.clone(), api: OnceLock::new() });
        let backend = Arc::new(Backend { node: OnceLock::new() });
        let server = state::server(
            options.state_dir.as_deref(),
            meshy_apiserver::Options {
                version: format!("v{}.0", crate::KUBERNETES),
                token: keys.token.clone(),
                admission: vec![injector.clone()],
                pods: Some(backend.clone()),
            },
        )?;
        let api = Api::new(server.client());

        let fabric = Fabric::new();
        let topology = Topology::new(fabric.clone());
        let mesh = Mesh::new(api.clone(), fabric.clone(), topology.clone(), authority, options.like_linkerd);
        let node_name = format!("{}-embedded", options.name);
        let node = Node::new(node_name, api.clone(), fabric.clone(), topology.clone(), mesh.clone());
        let _ = injector.api.set(api.clone());
        let _ = backend.node.set(node.clone());

        forget_pods(&api).await?;
        node.register().await?;
        built_in::ensure(&api).await?;
        let mut tasks = JoinSet::new();
        topology.start(&api, &mut tasks);
        mesh.start(&mut tasks);
        controllers::start(&api, &mut tasks);
        node.start(&mut tasks);
        ingress::status::start(&api, &mut tasks);
        ingress::door::open(door, fabric, topology, &mut tasks);

        let served = match options.api_addr {
            None => None,
            Some(address) => {
                let listener =
                    TcpListener::bind(address).await.map_err(|source| Error::Bind { what: "API", source })?;
                Some(server.serve(listener, &keys.authority)?)
            }
        };
        Ok(Self { options, server, served, keys, ingress, tasks })
    }

    /// The context in [`Cluster::kubeconfig`]: `embedded-NAME`.
    pub fn context(&self) -> String {
        format!("embedded-{}", self.options.name)
    }

    /// A kubeconfig with one context, `embedded-NAME`, whose user is administrator. Write it with mode 0600.
    ///
    /// Empty when the API is not served over a socket.
    pub fn kubeconfig(&self) -> String {
        let Some(served) = &self.served else { return String::new() };
        let document = meshy_apiserver::kubeconfig(
            &self.context(),
            &served.url(),
            &self.keys.authority,
            self.server.token(),
        );
        format!("{document:#}\n")
    }

    /// Where the API is served, if it is.
    pub fn api_url(&self) -> Option<String> {
        self.served.as_ref().map(RunningServer::url)
    }

    /// A client that talks to the API in-process, without a socket.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.server.service(), "default")
    }

    /// Where the ingress listens.
    pub fn ingress_addr(&self) -> SocketAddr {
        self.ingress
    }

    /// Stops everything; with a state folder the objects are kept for the next start.
    ///
    /// # Errors
    /// When the snapshot cannot be written.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.served = None;
        self.tasks.shutdown().await;
        match &self.options.state_dir {
            Some(folder) => state::keep(folder, &self.server),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.options.name).field("ingress", &self.ingress).finish()
    }
}

/// The pods of a snapshot ended with the process that ran them; their ReplicaSets make new ones.
///
/// What their owners' status said of them is forgotten with them, so that nobody who waits for a rollout is told of
/// pods that are no more.
async fn forget_pods(api: &Api) -> Result<(), Error> {
    for pod in api.list(PODS, None) {
        api.delete(PODS, namespace(&pod), name(&pod), Delete::of(uid(&pod)).now()).await?;
    }
    for kind in [REPLICA_SETS, DEPLOYMENTS] {
        for owner in api.list(kind.clone(), None) {
            let forget = |owner: &mut Value| {
                let counts = [
                    "replicas",
                    "updatedReplicas",
                    "fullyLabeledReplicas",
                    "readyReplicas",
                    "availableReplicas",
                ];
                let Some(status) = owner["status"].as_object_mut() else { return false };
                let before = status.len();
                status.retain(|field, _| !counts.contains(&field.as_str()));
                status.len() != before
            };
            api.modify_status(kind.clone(), namespace(&owner), name(&owner), forget).await?;
        }
    }
    Ok(())
}
