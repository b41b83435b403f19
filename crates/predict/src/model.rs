//! What is simulated: services that call each other, the policies of the edges, load and faults.

mod check;
mod load;
mod policy;
mod topology;

use std::time::Duration;

pub use check::ModelError;
pub use load::{Arrivals, Fault, FaultKind, Load, Phase};
pub use policy::{Breaker, EdgePolicy, Retry, RetryBudget};
pub use topology::Policies;

/// A call graph with its load and its faults. Services and edges are referred to by their index.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The services.
    pub services: Vec<Service>,
    /// Who calls whom. A service that calls another one several times has one edge for it.
    pub edges: Vec<Edge>,
    /// The service that receives the load.
    pub entry: usize,
    /// The policy of the proxies that send the load; `default()` without a proxy.
    pub entry_policy: EdgePolicy,
    /// How many proxies send the load, each with a separate budget and breaker.
    pub clients: usize,
    /// The load.
    pub load: Load,
    /// What happens during the load.
    pub faults: Vec<Fault>,
    /// The network between the services.
    pub network: Network,
    /// A request counts as goodput if it is answered with a 2xx within this time.
    pub goodput_bound: Duration,
}

/// A service of the call graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The name, for results.
    pub name: String,
    /// What each request does, in this order, after its service time.
    pub script: Vec<Step>,
    /// Its workers; `None` is unlimited and without service time.
    pub capacity: Option<Capacity>,
    /// The requests that get a 500 after their service time and before their calls.
    pub errors: Errors,
    /// Its pods.
    pub replicas: usize,
    /// The rate limits of its proxies.
    pub rate_limit: RateLimit,
}

impl Service {
    /// Returns a service with one pod, unlimited capacity, no errors and no calls.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            script: Vec::new(),
            capacity: None,
            errors: Errors::None,
            replicas: 1,
            rate_limit: RateLimit::default(),
        }
    }
}

/// A step of a service's script.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Waits.
    Sleep(Duration),
    /// Calls another service.
    Call {
        /// The edge, one that starts at this service.
        edge: usize,
        /// Whether a failure of the call leaves the request successful.
        optional: bool,
        /// The probability that the call is made.
        probability: f64,
    },
    /// Does all of these at the same time and waits for all of them.
    Parallel(Vec<Step>),
}

impl Step {
    /// Returns a mandatory call.
    pub fn call(edge: usize) -> Self {
        Self::Call { edge, optional: false, probability: 1.0 }
    }
}

/// The workers of one pod. A worker is held for the service time and for the whole script.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Requests in progress at the same time.
    pub workers: usize,
    /// Requests that wait for a worker; one more gets a 503 at once.
    pub queue: usize,
    /// The mean time that a request takes, before its calls.
    pub service_time: Duration,
    /// How service times vary.
    pub distribution: Distribution,
    /// Whether work stops when its client disconnects. If not, it continues and counts as wasted.
    pub cancel: bool,
}

/// How service times vary around their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Always the mean.
    Fixed,
    /// From 0 to twice the mean.
    Uniform,
    /// Exponential.
    Exponential,
}

/// Which requests of a pod fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Errors {
    /// None.
    None,
    /// Each with this probability.
    Share(f64),
    /// In shuffled blocks of 10, exactly so many of each block.
    Blocks(u8),
}

/// The rate limits of a service's proxies, as HTTPLocalRateLimitPolicy has them: a request above the limit gets a 429. A
/// bucket holds the requests of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RateLimit {
    /// Requests per second of all clients together, for each pod.
    pub total: Option<f64>,
    /// Requests per second of each calling service, for each pod.
    pub identity: Option<f64>,
}

/// The calling side of an edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The service that calls.
    pub from: usize,
    /// The service that is called.
    pub to: usize,
    /// What the proxies of the calling service do.
    pub policy: EdgePolicy,
}

/// How long the network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The mean time from an attempt to its arrival at the service; exponentially distributed.
    pub hop: Duration,
    /// How long a refused connection takes: nothing on the embedded cluster, about 115 ms on a real Linkerd (measured, row z5
    /// of the second set).
    pub refused: Duration,
}

impl Default for Network {
    /// Half a millisecond, and refused connections at once: the embedded cluster.
    fn default() -> Self {
        Self { hop: Duration::from_micros(500), refused: Duration::ZERO }
    }
}

impl Model {
    /// Returns a chain of services without capacity limits, in which each calls the next; the first receives the load. Edge
    /// i connects service i with service i + 1.
    pub fn chain(services: usize, load: Load) -> Self {
        let service = |index: usize| {
            let mut service = Service::new(format!("s{}", index + 1));
            if index + 1 < services {
                service.script = vec![Step::call(index)];
            }
            service
        };
        let edge = |from: usize| Edge { from, to: from + 1, policy: EdgePolicy::default() };
        Self {
            services: (0..services).map(service).collect(),
            edges: (0..services.saturating_sub(1)).map(edge).collect(),
            entry: 0,
            entry_policy: EdgePolicy::default(),
            clients: 1,
            load,
            faults: Vec::new(),
            network: Network::default(),
            goodput_bound: Duration::from_secs(2),
        }
    }

    /// Checks that the model can be simulated: indices exist, calls follow edges without a cycle, capacities are positive.
    ///
    /// # Errors
    /// On the first part that is invalid.
    pub fn check(&self) -> Result<(), ModelError> {
        check::check(self)
    }
}
