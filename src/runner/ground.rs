//! Where a scenario runs: its topology in one namespace per variant, or the services that are deployed.

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::{Namespace, Service as CoreService, ServicePort};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ListParams};
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::scenario::{Scenario, Variant};
use meshy_kube::{Kinds, is_from_meshy};
use meshy_lab::deploy::{self, Bundle, topology};
use meshy_lab::{Env, addons::ingress_nginx};
use meshy_policy::policy::Session;
use meshy_policy::services;
use meshy_topology::{Protocol, Topology, entry_hosts};

use super::changes::Absent;
use crate::run_cluster::RunCluster;

/// What a scenario is run on.
#[derive(Debug)]
pub(crate) enum Graph {
    /// Kustomize overlays in the namespace `default`.
    Overlays(Vec<String>),
    /// A topology, once per variant.
    Topology(Topology),
    /// The services of a namespace, as they are deployed.
    Deployed(String),
}

/// How the ingress leads to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The service.
    pub(super) service: String,
    /// The host name of its rule.
    pub(super) host: String,
}

/// A service that can receive a load.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Served {
    /// Its name.
    pub(super) name: String,
    /// Its port.
    pub(super) port: u16,
    /// Whether it uses gRPC.
    pub(super) grpc: bool,
}

/// Where one variant runs.
pub(super) struct Place {
    /// The variant.
    pub(super) variant: Option<Variant>,
    /// Its namespace.
    pub(super) namespace: String,
    /// The services in it.
    pub(super) services: Vec<Served>,
    /// The services that the ingress leads to.
    pub(super) entries: Vec<Entry>,
}

/// The cluster with the places of all variants.
pub(super) struct Ground<'a> {
    /// The cluster.
    pub(super) run_cluster: &'a RunCluster,
    /// Its API.
    pub(super) kinds: Kinds,
    /// When the run must end.
    pub(super) deadline: tokio::time::Instant,
    /// What becomes of policies that a step does not list.
    pub(super) absent: Absent,
    /// The services may run other images than meshy's test service.
    pub(super) any_image: bool,
    /// Namespaces of the topology that were there before the run.
    pub(super) existing: Vec<String>,
    /// The places of the variants.
    pub(super) places: Vec<Place>,
}

impl<'a> Ground<'a> {
    /// Whether the scenario runs on the user's services.
    pub(super) fn is_deployed(&self) -> bool {
        self.absent == Absent::Restored
    }

    /// Deploys the topology, or finds the services that are deployed.
    pub(super) async fn prepare(
        env: &Env,
        (scenario, graph): (&Scenario, &Graph),
        run_cluster: &'a RunCluster,
        session: &mut Session,
    ) -> anyhow::Result<Self> {
        let kinds = Kinds::new(run_cluster.client.clone());
        let mut existing = Vec::new();
        let places = match graph {
            Graph::Overlays(names) => overlays(env, run_cluster, names).await?,
            Graph::Deployed(namespace) => vec![deployed(run_cluster, namespace, None).await?],
            Graph::Topology(topology) => {
                let variants: Vec<Option<&Variant>> = match &scenario.variants[..] {
                    [] => vec![None],
                    all => all.iter().map(Some).collect(),
                };
                let namespaces = namespaces(scenario);
                for namespace in &namespaces {
                    match claim(&run_cluster.client, namespace).await? {
                        true => session.namespace(namespace)?,
                        // It stays: a run with `--keep` or `meshy deploy` made it.
                        false => existing.push(namespace.clone()),
                    }
                }
                let each = variants.into_iter().zip(&namespaces);
                let each =
                    each.map(|(variant, namespace)| place(env, run_cluster, topology, namespace, variant));
                futures::future::try_join_all(each).await?
            }
        };
        let absent = if matches!(graph, Graph::Deployed(_)) { Absent::Restored } else { Absent::Removed };
        let any_image = matches!(graph, Graph::Overlays(_));
        Ok(Self { run_cluster, kinds, deadline: env.deadline, absent, any_image, existing, places })
    }
}

/// Returns the namespaces of a scenario's topology, of its variants in their order.
pub(super) fn namespaces(scenario: &Scenario) -> Vec<String> {
    let name = &scenario.metadata.name.value;
    match &scenario.variants[..] {
        [] => vec![namespace_of(name, None)],
        all => all.iter().map(|variant| namespace_of(name, Some(variant))).collect(),
    }
}

/// The namespace of a variant.
fn namespace_of(scenario: &str, variant: Option<&Variant>) -> String {
    variant.map_or(scenario.to_owned(), |variant| format!("{scenario}-{}", variant.name.value))
}

/// Checks that a namespace is absent, or is one that meshy created. Returns whether it is absent.
async fn claim(client: &kube::Client, name: &str) -> anyhow::Result<bool> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = api.get_opt(name).await.with_context(|| format!("cannot read namespace `{name}`"))?;
    let Some(found) = found else { return Ok(true) };
    if is_from_meshy(&found) {
        return Ok(false);
    }
    Err(anyhow!("the scenario needs namespace `{name}`, which exists and was not created by meshy"))
        .hint("rename the scenario or its variant, or delete the namespace")
        .exit(Exit::Usage)
}

async fn overlays(env: &Env, run_cluster: &RunCluster, names: &[String]) -> anyhow::Result<Vec<Place>> {
    if run_cluster.is_own() {
        deploy::overlays(env, &run_cluster.client, names, &run_cluster.deploy).await?;
    }
    let place = deployed(run_cluster, topology::NAMESPACE, Some(names)).await?;
    if let Some(absent) = names.iter().find(|name| !place.names().any(|known| known == *name)) {
        return Err(anyhow!("service `{absent}` is not deployed"))
            .hint(format!("`meshy deploy {absent}` deploys it"))
            .exit(Exit::Prerequisite);
    }
    if run_cluster.ingress.is_some() {
        run_cluster.mesh_ingress(env).await?;
    }
    Ok(vec![place])
}

async fn place(
    env: &Env,
    run_cluster: &RunCluster,
    topology: &Topology,
    namespace: &str,
    variant: Option<&Variant>,
) -> anyhow::Result<Place> {
    let options = topology::options(Some(namespace))?;
    let bundle = Bundle {
        name: format!("{} services in namespace `{namespace}`", topology.services.len()),
        objects: topology::objects(topology, Some(namespace))?,
        warnings: Vec::new(),
    };
    deploy::deploy(env, &run_cluster.client, vec![bundle], &run_cluster.deploy).await?;
    let served = |service: &meshy_topology::ServiceSpec| Served {
        name: service.name.clone(),
        port: meshy_topology::SERVICE_PORT,
        grpc: service.protocol == Protocol::Grpc,
    };
    let entry = |entry: meshy_topology::EntryHost| Entry { service: entry.service, host: entry.host };
    Ok(Place {
        variant: variant.cloned(),
        services: topology.services.iter().map(served).collect(),
        entries: entry_hosts(topology, &options).into_iter().map(entry).collect(),
        namespace: namespace.to_owned(),
    })
}

/// Finds the services of a namespace that select pods, of these names or all, and how the ingress leads to them.
async fn deployed(
    run_cluster: &RunCluster,
    namespace: &str,
    names: Option<&[String]>,
) -> anyhow::Result<Place> {
    let client = &run_cluster.client;
    services::namespace(client, namespace).await?;
    let api: Api<CoreService> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default()).await.context("cannot list services")?;
    let selects = |service: &CoreService| {
        let spec = service.spec.as_ref();
        spec.and_then(|spec| spec.selector.as_ref()).is_some_and(|labels| !labels.is_empty())
    };
    let found = list.items.iter().filter(|service| selects(service)).filter_map(|service| {
        let port = service.spec.as_ref()?.ports.iter().flatten().next();
        Some(Served {
            name: service.metadata.name.clone()?,
            port: port.and_then(|port| u16::try_from(port.port).ok()).unwrap_or(80),
            grpc: port.is_some_and(is_grpc),
        })
    });
    let mut found: Vec<Served> =
        found.filter(|served| names.is_none_or(|names| names.contains(&served.name))).collect();
    found.sort();
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    let ingresses = ingresses.list(&ListParams::default()).await.context("cannot list ingresses")?;
    Ok(Place {
        variant: None,
        namespace: namespace.to_owned(),
        entries: ingresses.items.iter().flat_map(entries).collect(),
        services: found,
    })
}

/// Whether a port is one for gRPC by its name, as those of topologies are.
fn is_grpc(port: &ServicePort) -> bool {
    port.name.as_deref().is_some_and(|name| name == "grpc" || name.starts_with("grpc-"))
}

/// The services that an Ingress leads to by host name.
fn entries(ingress: &Ingress) -> Vec<Entry> {
    let rules = ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten());
    let entry = |rule: &k8s_openapi::api::networking::v1::IngressRule| {
        let host = rule.host.clone()?;
        let backends = rule.http.as_ref()?.paths.iter().filter_map(|path| path.backend.service.as_ref());
        Some(backends.map(|service| Entry { service: service.name.clone(), host: host.clone() }).collect())
    };
    rules.filter_map(entry).flat_map(|entries: Vec<Entry>| entries).collect()
}

impl Place {
    /// Returns the name of the variant.
    pub(super) fn variant(&self) -> Option<&str> {
        self.variant.as_ref().map(|variant| variant.name.value.as_str())
    }

    /// Returns the service of that name in this namespace.
    pub(super) fn service(&self, name: &str) -> meshy_metrics::routes::Service {
        meshy_metrics::routes::Service { namespace: self.namespace.clone(), name: name.to_owned() }
    }

    /// Returns a service; one with the port of topologies if it is not one of this namespace.
    pub(super) fn served(&self, name: &str) -> Served {
        let found = self.services.iter().find(|served| served.name == name).cloned();
        found.unwrap_or_else(|| Served {
            name: name.to_owned(),
            port: meshy_topology::SERVICE_PORT,
            grpc: false,
        })
    }

    /// Returns the names of the services.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|served| served.name.as_str())
    }

    /// Whether the ingress controller's proxy may be a client here.
    pub(super) fn has_ingress(&self) -> bool {
        !self.entries.is_empty()
    }
}

/// The namespace of the ingress controller.
pub(super) const INGRESS: &str = ingress_nginx::NAMESPACE;
