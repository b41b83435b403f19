//! The load that a topology can serve.

use std::collections::HashMap;
use std::fmt;

use crate::model::{ServiceSpec, Step, Topology};

/// The service that limits a topology, and the load at which all its workers are busy.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityLimit {
    /// The limiting service.
    pub service: String,
    /// Requests per second at the entry point.
    pub requests_per_second: f64,
    /// How often the limiting service is called for one request at the entry point.
    pub visits: f64,
    /// How long a request keeps a worker of the limiting service busy without load, in seconds.
    pub busy_seconds: f64,
}

impl fmt::Display for CapacityLimit {
    /// What a load above it is compared with in a warning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, requests_per_second, .. } = self;
        write!(f, "the capacity of {requests_per_second:.1}/s: all workers of `{service}` are busy")
    }
}

/// Returns how often each service is called for one request, which is spread evenly over the entry points. Optional calls count by
/// their probability. Errors and retries are not taken into account.
#[must_use]
pub(crate) fn visits(topology: &Topology) -> HashMap<String, f64> {
    let entries = topology.entrypoints().count().max(1);
    #[expect(clippy::cast_precision_loss, reason = "a number of services")]
    let share = 1.0 / entries as f64;
    let mut found: HashMap<&str, f64> = topology
        .services
        .iter()
        .map(|service| (service.name.as_str(), if service.entrypoint { share } else { 0.0 }))
        .collect();
    for service in callers_first(topology) {
        let own = found.get(service.name.as_str()).copied().unwrap_or_default();
        for call in service.calls() {
            if let Some(visits) = found.get_mut(call.service.as_str()) {
                *visits += own * call.probability;
            }
        }
    }
    found.into_iter().map(|(name, visits)| (name.to_owned(), visits)).collect()
}

/// Returns the lowest load at which a service has no free worker, or `None` if no service that is called has a limit.
///
/// A service with `workers` and `replicas` serves `workers × replicas ÷ busy` requests per second, where `busy` is the mean service
/// time plus the time of the script, because a worker waits for the calls. The time of a call is taken without queues, and the time
/// of parallel steps is that of the longest mean: the result is an upper bound.
#[must_use]
pub fn capacity_limit(topology: &Topology) -> Option<CapacityLimit> {
    let visits = visits(topology);
    let busy = busy_seconds(topology);
    let limit = |service: &ServiceSpec| {
        let capacity = service.capacity?;
        let visits = visits.get(&service.name).copied().filter(|visits| *visits > 0.0)?;
        let busy_seconds = busy.get(service.name.as_str()).copied().filter(|busy| *busy > 0.0)?;
        let workers = f64::from(capacity.workers) * f64::from(service.replicas);
        let requests_per_second = workers / busy_seconds / visits;
        Some(CapacityLimit { service: service.name.clone(), requests_per_second, visits, busy_seconds })
    };
    let limits = topology.services.iter().filter_map(limit);
    limits.min_by(|a, b| a.requests_per_second.total_cmp(&b.requests_per_second))
}

/// Returns how long each service works on a request, in seconds, without queues.
fn busy_seconds(topology: &Topology) -> HashMap<&str, f64> {
    let mut found: HashMap<&str, f64> = HashMap::new();
    for service in callers_first(topology).into_iter().rev() {
        let own = service.capacity.map_or(0.0, |capacity| capacity.service_time.mean.as_secs_f64());
        let script: f64 = service.script.iter().map(|step| seconds(step, &found)).sum();
        found.insert(&service.name, own + script);
    }
    found
}

fn seconds(step: &Step, services: &HashMap<&str, f64>) -> f64 {
    match step {
        Step::Sleep(duration) => duration.as_secs_f64(),
        Step::Call(call) => {
            call.probability * services.get(call.service.as_str()).copied().unwrap_or_default()
        }
        Step::Parallel(steps) => steps.iter().map(|step| seconds(step, services)).fold(0.0, f64::max),
    }
}

/// Returns the services in an order in which each stands before those that it calls. Services in a cycle, which no valid topology
/// has, are left out.
fn callers_first(topology: &Topology) -> Vec<&ServiceSpec> {
    let by_name: HashMap<&str, &ServiceSpec> =
        topology.services.iter().map(|service| (service.name.as_str(), service)).collect();
    let mut callers: HashMap<&str, usize> = HashMap::new();
    for service in &topology.services {
        for call in service.calls() {
            *callers.entry(&call.service).or_default() += 1;
        }
    }
    let mut order: Vec<&ServiceSpec> =
        topology.services.iter().filter(|service| !callers.contains_key(service.name.as_str())).collect();
    let mut position = 0;
    while let Some(service) = order.get(position).copied() {
        position += 1;
        for call in service.calls() {
            let Some(left) = callers.get_mut(call.service.as_str()) else { continue };
            *left -= 1;
            if *left == 0 {
                order.extend(by_name.get(call.service.as_str()));
            }
        }
    }
    order
}
