//! The cluster as one value that is started, used and stopped.

mod error;
mod programs;
mod restored;
mod state;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use meshy_apiserver::{RunningServer, Server};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::level_filters::LevelFilter;

use crate::api::Api;
use crate::backend::KubeletBackend;
use crate::events::EventRecorder;
use crate::mesh::{Authority, Injector, Mesh};
use crate::network::{Fabric, host};
use crate::node::{Kubelet, NodeContext};
use crate::program::Programs;
use crate::programs::{LocalProcess, LocalProgram, ProcessContext, Shutdown, Supervisor};
use crate::service_table::ServiceTable;
use crate::{built_in, controllers, ingress, memory};
pub use error::Error;
use state::Keys;

/// How long programs of this machine may take to exit when the cluster stops; `meshy stop` kills the cluster after 10 s.
const PROGRAM_GRACE: Duration = Duration::from_secs(5);

/// The configuration of a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the lab; the kubeconfig context is `embedded-NAME`.
    pub name: String,
    /// The folder of the keys and the snapshot; `None` keeps everything in memory.
    pub state_dir: Option<PathBuf>,
    /// The address of the HTTPS API; port 0 selects a free one. `None` serves the API in-process only.
    pub api_addr: Option<SocketAddr>,
    /// The ports of 127.0.0.1 to try for the ingress, in order; by default 80, 8080 to 8179, then any free port.
    pub ingress_ports: Vec<u16>,
    /// Whether a client uses a new profile only after it has not used the Service for 5 s, as with Linkerd.
    pub linkerd_discovery_cache: bool,
    /// The level of the proxies' logs, for pods without the annotation `config.linkerd.io/proxy-log-level`.
    pub proxy_log: LevelFilter,
    /// Programs of this machine that containers run, by image. They take precedence over the programs of each cluster.
    pub programs: Vec<LocalProgram>,
    /// How their processes are started.
    pub supervisor: Supervisor,
}

impl Options {
    /// Returns the options of a cluster in memory with an API on a free port.
    pub fn ephemeral(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state_dir: None,
            api_addr: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ingress_ports: vec![0],
            linkerd_discovery_cache: false,
            proxy_log: LevelFilter::INFO,
            programs: Vec::new(),
            supervisor: Supervisor::default(),
        }
    }
}

/// A running cluster. [`Cluster::stop`] stops it gracefully; dropping it stops it immediately.
pub struct Cluster {
    options: Options,
    server: Server,
    served: Option<RunningServer>,
    keys: Keys,
    ingress: SocketAddr,
    /// The end of the programs of this machine.
    shutdown: Shutdown,
    tasks: JoinSet<()>,
}

impl Cluster {
    /// Starts API, controllers, node and ingress. Returns when the API is served and the ingress port is bound.
    ///
    /// # Errors
    /// A port cannot be bound, the state folder cannot be read or written, or its snapshot has another format.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Self::start_with_programs(options, Programs::default()).await
    }

    /// Starts a cluster with additional programs, which take precedence over the programs of each cluster.
    async fn start_with_programs(options: Options, mut programs: Programs) -> Result<Self, Error> {
        let bind_error = |source| Error::Bind { socket: "ingress", source };
        let ingress_ports = host::ingress_ports(&options.ingress_ports);
        let ingress_listener = host::bind_first(&ingress_ports).await.map_err(bind_error)?;
        let ingress = ingress_listener.local_addr().map_err(bind_error)?;
        let state_dir = options.state_dir.as_deref();
        let keys = Keys::load_or_create(state_dir)?;
        let authority = Authority::new()?;
        let injector = Arc::new(Injector { authority: authority.clone(), api: OnceLock::new() });
        let backend = Arc::new(KubeletBackend { kubelet: OnceLock::new() });
        let server = state::restore(
            state_dir,
            meshy_apiserver::Options {
                version: format!("v{}.0", crate::KUBERNETES_VERSION),
                token: keys.token.clone(),
                admission: vec![injector.clone()],
                pods: Some(backend.clone()),
            },
        )?;
        let api = Api::new(server.client());
        let events = EventRecorder::new(api.clone());

        let fabric = Fabric::new();
        let services = ServiceTable::new(fabric.clone());
        let mesh = Mesh::new(
            api.clone(),
            fabric.clone(),
            services.clone(),
            authority,
            options.linkerd_discovery_cache,
            options.proxy_log,
        );
        let processes = ProcessContext {
            services: services.clone(),
            events: events.clone(),
            supervisor: options.supervisor.clone(),
            shutdown: Shutdown::default(),
        };
        let shutdown = processes.shutdown.clone();
        for program in &options.programs {
            programs.register(program.images(), LocalProcess::new(program.clone(), processes.clone()));
        }
        programs::register(&mut programs, &api, &services, &mesh);
        let kubelet = Kubelet::new(NodeContext {
            node_name: format!("{}-embedded", options.name),
            api: api.clone(),
            events: events.clone(),
            fabric: fabric.clone(),
            services: services.clone(),
            programs,
        });
        let _ = injector.api.set((api.clone(), events.clone()));
        let _ = backend.kubelet.set(kubelet.clone());

        restored::reset_pods(&api).await?;
        kubelet.register().await?;
        built_in::ensure(&api).await?;
        let mut tasks = JoinSet::new();
        let context = controllers::Context { api: api.clone(), events };
        services.start(&api, &mut tasks);
        mesh.start(&mut tasks);
        controllers::start(&context, &mut tasks);
        kubelet.start(&mut tasks);
        ingress::status::start(&context, &mut tasks);
        ingress::host_port::start(ingress_listener, fabric, services, &mut tasks);
        // A cluster in memory lives as long as one run.
        if options.state_dir.is_some() {
            memory::start(server.client(), &mut tasks);
        }

        let served = match options.api_addr {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address)
                    .await
                    .map_err(|source| Error::Bind { socket: "API", source })?;
                Some(server.serve(listener, &keys.authority)?)
            }
        };
        Ok(Self { options, server, served, keys, ingress, shutdown, tasks })
    }

    /// Returns the name of the context in [`Cluster::kubeconfig`]: `embedded-NAME`.
    pub fn context(&self) -> String {
        format!("embedded-{}", self.options.name)
    }

    /// Returns a kubeconfig with one context, whose user is the administrator. Write it with mode 0600.
    ///
    /// It is empty if the API is served in-process only.
    pub fn kubeconfig(&self) -> String {
        let Some(served) = &self.served else { return String::new() };
        let (authority, token) = (&self.keys.authority, self.server.token());
        let document = meshy_apiserver::kubeconfig(&self.context(), &served.url(), authority, token);
        format!("{document:#}\n")
    }

    /// Returns a client that calls the API in-process, without a socket.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.server.service(), "default")
    }

    /// Returns the address of the ingress.
    pub fn ingress_addr(&self) -> SocketAddr {
        self.ingress
    }

    /// Stops the cluster: programs of this machine get SIGTERM and 5 s; with a state folder, the objects are kept for the next start.
    ///
    /// # Errors
    /// The snapshot cannot be written.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.served = None;
        self.shutdown.finish(PROGRAM_GRACE).await;
        self.tasks.shutdown().await;
        match &self.options.state_dir {
            Some(folder) => state::save(folder, &self.server),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.options.name)
            .field("ingress", &self.ingress)
            .finish_non_exhaustive()
    }
}
