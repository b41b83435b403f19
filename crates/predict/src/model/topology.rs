//! From a topology and its policies to a model.

use std::collections::BTreeMap;
use std::time::Duration;

use meshy_topology::{ServiceSpec, Topology};

use super::{
    Capacity, Distribution, Edge, EdgePolicy, Errors, Load, Model, ModelError, RateLimit, Service, Step,
};

/// The open requests of a pod without capacity: the test service responds with a 503 to further ones, to bound its memory.
const MOST_OPEN: usize = 1_024;

/// The policies of a topology's services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies {
    /// What the proxies of all clients do with requests to a service, by its name; services without an entry have no policy.
    pub services: BTreeMap<String, EdgePolicy>,
    /// What the proxies of one client do instead, by the names of the client and the service.
    pub edges: BTreeMap<(String, String), EdgePolicy>,
    /// What the proxies that send the load do; `default()` if the load does not pass a proxy.
    pub load: EdgePolicy,
    /// The rate limits of a service's own proxies, by its name.
    pub rate_limits: BTreeMap<String, RateLimit>,
}

impl Policies {
    fn of(&self, from: &str, to: &str) -> EdgePolicy {
        let own = self.edges.get(&(from.to_owned(), to.to_owned()));
        own.or_else(|| self.services.get(to)).cloned().unwrap_or_default()
    }
}

impl Model {
    /// Returns the model of a topology, with its first entry point as the entry and without any load: set `load`, and `entry`,
    /// `clients` and `faults` where they differ.
    ///
    /// # Errors
    /// When the topology has no entry point, or a policy or a call names a service that is not in it.
    pub fn from_topology(topology: &Topology, policies: &Policies) -> Result<Self, ModelError> {
        let names: Vec<&str> = topology.services.iter().map(|service| service.name.as_str()).collect();
        let index = |place: String, name: &str| {
            let found = names.iter().position(|known| *known == name);
            found.ok_or_else(|| ModelError::UnknownService { place, name: name.to_owned() })
        };
        check_names(policies, &|name| index("a policy".to_owned(), name).map(drop))?;
        let entry = topology.entrypoints().next();
        let entry = entry.ok_or_else(|| ModelError::NoEntry(topology.name.clone()))?;
        let mut edges: Vec<Edge> = Vec::new();
        let mut services = Vec::new();
        for (from, spec) in topology.services.iter().enumerate() {
            let mut edge = |name: &str| {
                let to = index(format!("service `{}`", spec.name), name)?;
                if let Some(known) = edges.iter().position(|edge| (edge.from, edge.to) == (from, to)) {
                    return Ok(known);
                }
                edges.push(Edge { from, to, policy: policies.of(&spec.name, name) });
                Ok(edges.len() - 1)
            };
            let script = steps(&spec.script, &mut edge)?;
            let rate_limit = policies.rate_limits.get(&spec.name).copied().unwrap_or_default();
            services.push(Service { script, rate_limit, ..service(spec) });
        }
        let model = Self {
            entry: index("the entry".to_owned(), &entry.name)?,
            services,
            edges,
            entry_policy: policies.load.clone(),
            ..Self::chain(0, Load::even(0.0, Duration::ZERO))
        };
        model.check()?;
        Ok(model)
    }

    /// Returns the index of a service by its name.
    pub fn service(&self, name: &str) -> Option<usize> {
        self.services.iter().position(|service| service.name == name)
    }

    /// Returns the index of an edge by the names of its services.
    pub fn edge(&self, from: &str, to: &str) -> Option<usize> {
        let (from, to) = (self.service(from)?, self.service(to)?);
        self.edges.iter().position(|edge| (edge.from, edge.to) == (from, to))
    }
}

fn check_names(
    policies: &Policies,
    check: &dyn Fn(&str) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    policies.services.keys().chain(policies.rate_limits.keys()).try_for_each(|name| check(name))?;
    policies.edges.keys().flat_map(|(from, to)| [from, to]).try_for_each(|name| check(name))
}

fn service(spec: &ServiceSpec) -> Service {
    let unlimited = Capacity {
        workers: MOST_OPEN,
        queue: 0,
        service_time: Duration::ZERO,
        distribution: Distribution::Fixed,
        cancel: false,
    };
    let capacity = spec.capacity.map_or(unlimited, |capacity| Capacity {
        workers: capacity.workers as usize,
        queue: capacity.queue as usize,
        service_time: capacity.service_time.mean,
        distribution: match capacity.service_time.distribution {
            meshy_topology::Distribution::Fixed => Distribution::Fixed,
            meshy_topology::Distribution::Uniform => Distribution::Uniform,
            meshy_topology::Distribution::Exponential => Distribution::Exponential,
        },
        cancel: capacity.cancel,
    });
    let errors = if spec.errors > 0.0 { Errors::Share(spec.errors) } else { Errors::None };
    Service {
        capacity: Some(capacity),
        errors,
        replicas: spec.replicas as usize,
        ..Service::new(spec.name.clone())
    }
}

fn steps(
    script: &[meshy_topology::Step],
    edge: &mut dyn FnMut(&str) -> Result<usize, ModelError>,
) -> Result<Vec<Step>, ModelError> {
    let mut step = |step: &meshy_topology::Step| match step {
        meshy_topology::Step::Sleep(time) => Ok(Step::Sleep(*time)),
        meshy_topology::Step::Call(call) => Ok(Step::Call {
            edge: edge(&call.service)?,
            optional: call.optional,
            probability: call.probability,
        }),
        meshy_topology::Step::Parallel(inner) => Ok(Step::Parallel(steps(inner, edge)?)),
    };
    script.iter().map(&mut step).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Retry;
    use super::*;

    fn shop() -> Topology {
        Topology::load("shop").unwrap()
    }

    #[test]
    fn a_policy_of_a_service_applies_to_each_of_its_clients_unless_one_has_another() {
        let retry = EdgePolicy { retry: Some(Retry::limit(2)), ..EdgePolicy::default() };
        let mut policies = Policies::default();
        policies.services.insert("stock".to_owned(), retry.clone());
        policies.edges.insert(("checkout".to_owned(), "stock".to_owned()), EdgePolicy::default());
        let model = Model::from_topology(&shop(), &policies).unwrap();
        let policy = |from, to| model.edges[model.edge(from, to).unwrap()].policy.clone();
        assert_eq!(policy("catalog", "stock"), retry);
        assert_eq!(policy("checkout", "stock"), EdgePolicy::default());
        assert_eq!(policy("catalog", "price"), EdgePolicy::default());
        assert_eq!(model.services[model.entry].name, "web");
    }

    #[test]
    fn every_shipped_topology_with_services_becomes_a_model_that_answers_its_load() {
        let mut simulated = 0;
        for (name, _) in meshy_topology::shipped() {
            let topology = Topology::load(name).unwrap();
            if topology.services.is_empty() {
                continue;
            }
            let mut model = Model::from_topology(&topology, &Policies::default()).unwrap();
            // Below the capacity of the smallest, 12.5 requests per second.
            model.load = Load::even(8.0, Duration::from_secs(5));
            let run = crate::simulate(&model, 1).unwrap();
            assert_eq!(run.latencies.len(), 40, "{name}");
            assert!(run.success_ratio() > 0.9, "{name}: {}", run.success_ratio());
            simulated += 1;
        }
        assert!(simulated >= 10, "only {simulated} topologies");
    }

    #[test]
    fn a_pod_without_capacity_rejects_more_than_1024_open_requests() {
        let topology = Topology::load("chain-2").unwrap();
        let mut model = Model::from_topology(&topology, &Policies::default()).unwrap();
        model.services[1].script = vec![Step::Sleep(Duration::from_secs(30))];
        model.services[1].capacity = None;
        model.load = Load::even(1_000.0, Duration::from_secs(2));
        let run = crate::simulate(&model, 1).unwrap();
        assert_eq!(run.services[0].rejected, 2_000 - 1_024);
    }

    #[test]
    fn unknown_services_and_overlays_are_errors() {
        let mut policies = Policies::default();
        policies.services.insert("sotck".to_owned(), EdgePolicy::default());
        let error = Model::from_topology(&shop(), &policies).unwrap_err().to_string();
        assert_eq!(error, "a policy refers to the unknown service `sotck`");
        let demo = Topology::load("original-demo").unwrap();
        let error = Model::from_topology(&demo, &Policies::default()).unwrap_err().to_string();
        assert_eq!(error, "topology `original-demo` has no entry point that can be simulated");
    }
}
