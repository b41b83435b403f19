//! The cluster of a run: an embedded one in this process, with the topology in one namespace per variant.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use meshy_embedded::{Cluster, Options};
use meshy_experiment::scenario::Variant;
use meshy_kube::{Apply, Kinds, Manager, Object, manifest, wait};
use meshy_lab::{Env, deploy};
use meshy_topology::{ManifestOptions, Topology, entry_hosts, manifests};

use super::Plan;
use crate::mesh::injection;

/// The image of the services of a topology, which the embedded cluster has built in.
const IMAGE: &str = "localhost:5000/minimal-service:v1.0.0";

/// What a scenario is run on.
pub enum Graph {
    /// Kustomize overlays in the namespace `default`.
    Overlays(Vec<String>),
    /// A topology, once per variant.
    Topology(Topology),
}

/// Where one variant runs.
pub(super) struct Place {
    /// The variant.
    pub(super) variant: Option<Variant>,
    /// Its namespace.
    pub(super) namespace: String,
    /// The services in it.
    pub(super) services: Vec<String>,
    /// The host names of the ingress by service.
    pub(super) hosts: Vec<(String, String)>,
}

/// The cluster.
pub(super) struct Ground {
    cluster: Cluster,
    /// Its API.
    pub(super) kinds: Kinds,
    /// Its ingress.
    pub(super) ingress: SocketAddr,
    /// When the run must end.
    pub(super) deadline: tokio::time::Instant,
    places: Vec<Place>,
}

impl Ground {
    /// Starts the cluster and deploys the topology.
    pub(super) async fn prepare(env: &Env, plan: &Plan) -> anyhow::Result<Self> {
        let step = env.report.step("Starting", "an embedded cluster in this process");
        let cluster = Cluster::start(Options { api_addr: None, ..Options::ephemeral("run") }).await;
        let cluster = step.ended(cluster.context("cannot start the embedded cluster"), |_| String::new())?;
        let (kinds, ingress) = (Kinds::new(cluster.client()), cluster.ingress_addr());
        let mut ground = Self { cluster, kinds, ingress, deadline: env.deadline, places: Vec::new() };
        match ground.deploy(env, plan).await {
            Ok(places) => ground.places = places,
            Err(error) => {
                ground.close().await?;
                return Err(error);
            }
        }
        Ok(ground)
    }

    /// The places of the variants.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Stops the cluster.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.cluster.stop().await.context("cannot stop the embedded cluster")
    }

    async fn deploy(&self, env: &Env, plan: &Plan) -> anyhow::Result<Vec<Place>> {
        match &plan.graph {
            Graph::Overlays(names) => {
                let client = self.kinds.client();
                deploy::overlays(env, client, names, &deploy::Options::default()).await?;
                injection::mesh_ingress(&self.kinds, &env.report, self.deadline).await?;
                let hosts = names.iter().map(|name| (name.clone(), name.clone())).collect();
                let namespace = "default".to_owned();
                Ok(vec![Place { variant: None, namespace, services: names.clone(), hosts }])
            }
            Graph::Topology(topology) => {
                let name = &plan.scenario.metadata.name.value;
                let variants: Vec<Option<&Variant>> = match &plan.scenario.variants[..] {
                    [] => vec![None],
                    all => all.iter().map(Some).collect(),
                };
                let each = variants.into_iter().map(|variant| {
                    let namespace =
                        variant.map_or(name.clone(), |variant| format!("{name}-{}", variant.name.value));
                    self.deploy_topology(env, topology, namespace, variant)
                });
                futures::future::try_join_all(each).await
            }
        }
    }

    async fn deploy_topology(
        &self,
        env: &Env,
        topology: &Topology,
        namespace: String,
        variant: Option<&Variant>,
    ) -> anyhow::Result<Place> {
        let options = ManifestOptions { namespace: namespace.clone(), image: IMAGE.to_owned(), inject: true };
        let mut objects = Vec::new();
        for value in manifests(topology, &options) {
            objects.extend(manifest::from_value(value)?);
        }
        let thing = format!("{} services in namespace `{namespace}`", topology.services.len());
        let step = env.report.step("Deploying", thing);
        let ready = async {
            let applied = Apply::new(&self.kinds, Manager::Manifests, self.deadline).run(objects).await?;
            let objects: Vec<Object> = applied.into_iter().map(|applied| applied.object).collect();
            wait::ready(&self.kinds, &objects, self.deadline, Some(&step)).await.map(drop)
        };
        let ready = ready.await;
        step.ended(ready, |()| String::new())?;
        Ok(Place {
            variant: variant.cloned(),
            services: topology.services.iter().map(|service| service.name.clone()).collect(),
            hosts: entry_hosts(topology, &options)
                .into_iter()
                .map(|entry| (entry.service, entry.host))
                .collect(),
            namespace,
        })
    }
}

impl Place {
    /// Returns the name of the variant.
    pub(super) fn variant(&self) -> Option<&str> {
        self.variant.as_ref().map(|variant| variant.name.value.as_str())
    }

    /// Returns the host name by which the ingress forwards to a service.
    pub(super) fn host(&self, service: &str) -> anyhow::Result<&str> {
        let found = self.hosts.iter().find(|(name, _)| name == service);
        found.map(|(_, host)| host.as_str()).ok_or_else(|| {
            anyhow!("service `{service}` is not an entry point: a load can only be sent to one through the ingress")
        })
    }
}
