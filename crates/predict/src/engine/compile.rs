//! The model in the form that the simulation uses: nanoseconds, flat scripts, one state per proxy and pod.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Time;
use super::breaker::BreakerState;
use super::latency::Latency;
use super::limiter::Bucket;
use super::state::{Endpoint, Proxy, Replica};
use crate::budget::Budget;
use crate::model::{Capacity, EdgePolicy, Errors, Model, Service, Step};
use crate::random::Random;

pub(super) struct Compiled {
    pub(super) nodes: Vec<Node>,
    pub(super) policies: Vec<Policy>,
    pub(super) proxies: Vec<Proxy>,
    pub(super) replicas: Vec<Vec<Replica>>,
}

/// A service.
pub(super) struct Node {
    /// Steps of a group run at the same time, groups one after the other.
    pub(super) groups: Vec<Vec<Leaf>>,
    pub(super) capacity: Option<Capacity>,
    /// The mean service time in nanoseconds, without faults.
    pub(super) service_nanos: f64,
    pub(super) has_rate_limit: bool,
    /// What faults change.
    pub(super) errors: Errors,
    pub(super) slow: f64,
    pub(super) down: u32,
    pub(super) random: Random,
}

#[derive(Clone, Copy)]
pub(super) enum Leaf {
    Sleep(Time),
    Call { edge: usize, optional: bool, probability: f64 },
}

/// The policy of an edge.
pub(super) struct Policy {
    pub(super) to: usize,
    /// The calling service; the number of services for the load.
    pub(super) from: usize,
    pub(super) first_proxy: usize,
    pub(super) timeout: Option<Time>,
    pub(super) response_timeout: Option<Time>,
    pub(super) retry: Option<Retry>,
}

#[derive(Clone)]
pub(super) struct Retry {
    pub(super) statuses: RangeInclusive<u16>,
    pub(super) limit: Option<u32>,
    pub(super) retry_timeout: Option<Time>,
}

pub(super) fn compile(model: &Model, seed: u64) -> Compiled {
    let count = model.services.len();
    let (mut policies, mut proxies) = (Vec::new(), Vec::new());
    let edges = model.edges.iter().map(|edge| {
        (edge.from, edge.to, &edge.policy, model.services.get(edge.from).map_or(1, |from| from.replicas))
    });
    for (from, to, policy, clients) in edges.chain([(count, model.entry, &model.entry_policy, model.clients)])
    {
        policies.push(compile_policy(policy, from, to, proxies.len()));
        let endpoints = model.services[to].replicas;
        proxies.extend((0..clients).map(|_| proxy(policy, endpoints)));
    }
    let random = |index: usize| Random::new(seed, 2 + index as u64);
    let node = |(index, service)| compile_service(service, random(index));
    let nodes = model.services.iter().enumerate().map(node).collect();
    let replicas =
        model.services.iter().map(|service| (0..service.replicas).map(|_| replica(service, count)).collect());
    Compiled { nodes, policies, proxies, replicas: replicas.collect() }
}

fn compile_policy(policy: &EdgePolicy, from: usize, to: usize, first_proxy: usize) -> Policy {
    let retry = policy.retry.as_ref().filter(|retry| retry.is_effective()).map(|retry| Retry {
        statuses: retry.statuses.clone(),
        limit: retry.limit,
        retry_timeout: retry.retry_timeout.map(nanos),
    });
    let (timeout, response_timeout) = (policy.timeout.map(nanos), policy.response_timeout.map(nanos));
    Policy { to, from, first_proxy, timeout, response_timeout, retry }
}

fn proxy(policy: &EdgePolicy, endpoints: usize) -> Proxy {
    let budget = policy.retry.as_ref().filter(|retry| retry.is_effective()).and_then(|retry| retry.budget);
    let breaker = policy.breaker;
    let endpoint = || Endpoint { latency: Latency::new(), breaker: breaker.map(BreakerState::new) };
    Proxy {
        budget: budget.map(|budget| Budget::new(budget.ttl, budget.min_per_second, budget.ratio)),
        endpoints: (0..endpoints).map(|_| endpoint()).collect(),
        waiting: VecDeque::new(),
        unavailable: false,
        epoch: 0,
        fail_fast: false,
    }
}

fn compile_service(service: &Service, random: Random) -> Node {
    let limit = service.rate_limit;
    Node {
        groups: service.script.iter().map(group).collect(),
        capacity: service.capacity,
        service_nanos: service.capacity.map_or(0.0, |capacity| capacity.service_time.as_nanos() as f64),
        has_rate_limit: limit.total.is_some() || limit.identity.is_some(),
        errors: service.errors,
        slow: 1.0,
        down: 0,
        random,
    }
}

fn replica(service: &Service, services: usize) -> Replica {
    let limit = service.rate_limit;
    Replica {
        total: limit.total.map(Bucket::new),
        identities: limit.identity.map_or_else(Vec::new, |rate| vec![Bucket::new(rate); services + 1]),
        ..Replica::default()
    }
}

/// Steps within a parallel step run at the same time, however deep they are nested.
fn group(step: &Step) -> Vec<Leaf> {
    match step {
        Step::Sleep(time) => vec![Leaf::Sleep(nanos(*time))],
        Step::Call { edge, optional, probability } => {
            vec![Leaf::Call { edge: *edge, optional: *optional, probability: *probability }]
        }
        Step::Parallel(steps) => steps.iter().flat_map(group).collect(),
    }
}

/// Nanoseconds; a duration of more than 500 years is shortened to that.
pub(super) fn nanos(duration: Duration) -> Time {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}
