//! The types of a topology.

use std::time::Duration;

/// Services and how they call each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Topology {
    /// The name, a DNS label.
    pub name: String,
    /// What the topology shows, one line.
    pub title: Option<String>,
    /// The services in the order of the file; empty if there are `overlays`.
    pub services: Vec<ServiceSpec>,
    /// Folders of kustomize overlays, relative to the root of the project. Such a topology is deployed from the overlays, and no
    /// manifest is made from it.
    pub overlays: Vec<String>,
    /// What the file contains and meshy does not use, a line each. Only isotope's files have such keys.
    pub ignored: Vec<String>,
}

/// A service of a topology.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// The name, a DNS label that starts with a letter.
    pub name: String,
    /// Whether clients outside of the topology call it.
    pub entrypoint: bool,
    /// The number of pods, from 1.
    pub replicas: u32,
    /// The protocol of its port.
    pub protocol: Protocol,
    /// What the service does for a request, in order.
    pub script: Vec<Step>,
    /// How many requests it serves at the same time; `None`: without limit, and without service time.
    pub capacity: Option<Capacity>,
    /// The share of requests that fail with 500, from 0 to 1, decided before the script.
    pub errors: f64,
    /// The size of the body of a response, in bytes.
    pub response_bytes: u64,
    /// Which port the kubelet probes.
    pub probes: Probes,
}

/// A port that the kubelet probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Probes {
    /// The admin port, which no client calls.
    #[default]
    Admin,
    /// The service's port: policies of that port apply to the probes, too. After one failed probe the pod is not ready.
    Service,
}

/// A protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/2.
    #[default]
    Http,
    /// gRPC.
    Grpc,
}

/// A step of a service's script.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Waits.
    Sleep(Duration),
    /// Calls another service and waits for the response.
    Call(Call),
    /// Executes steps at the same time and waits for all.
    Parallel(Vec<Step>),
}

/// A call of another service.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The service called.
    pub service: String,
    /// Whether a failure of the call leaves the request successful.
    pub optional: bool,
    /// The share of requests with this call, from 0 to 1.
    pub probability: f64,
    /// The size of the body of the request, in bytes.
    pub request_bytes: u64,
}

/// How many requests each pod of a service serves at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Requests that are served at the same time, from 1.
    pub workers: u32,
    /// Requests that wait for a worker; one more gets 503 at once.
    pub queue: u32,
    /// Whether work stops when the client disconnects.
    pub cancel: bool,
    /// How long a worker is busy with a request, in addition to the script.
    pub service_time: ServiceTime,
}

/// How long a request keeps a worker busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceTime {
    /// The mean.
    pub mean: Duration,
    /// How the time varies.
    pub distribution: Distribution,
}

/// A distribution of service times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Distribution {
    /// Always the mean.
    #[default]
    Fixed,
    /// From 0 to twice the mean.
    Uniform,
    /// Exponential.
    Exponential,
}

impl Protocol {
    /// The protocols and their names in files.
    pub(crate) const NAMES: [(&'static str, Self); 2] = [("http", Self::Http), ("grpc", Self::Grpc)];

    /// Returns the name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

impl Probes {
    /// The ports and their names in files.
    pub(crate) const NAMES: [(&'static str, Self); 2] = [("admin", Self::Admin), ("service", Self::Service)];
}

impl Distribution {
    /// The distributions and their names in files.
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("fixed", Self::Fixed), ("uniform", Self::Uniform), ("exponential", Self::Exponential)];

    /// Returns the name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Uniform => "uniform",
            Self::Exponential => "exponential",
        }
    }
}

impl ServiceSpec {
    /// Returns a service with one pod, without capacity limit, errors and calls.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            entrypoint: false,
            replicas: 1,
            protocol: Protocol::Http,
            script: Vec::new(),
            capacity: None,
            errors: 0.0,
            response_bytes: 0,
            probes: Probes::Admin,
        }
    }

    /// Returns the calls of the script in order, those at the same time one after the other.
    #[must_use]
    pub fn calls(&self) -> Vec<&Call> {
        let mut found = Vec::new();
        collect(&self.script, &mut found);
        found
    }
}

fn collect<'a>(steps: &'a [Step], found: &mut Vec<&'a Call>) {
    for step in steps {
        match step {
            Step::Sleep(_) => {}
            Step::Call(call) => found.push(call),
            Step::Parallel(steps) => collect(steps, found),
        }
    }
}

impl Call {
    /// Returns a mandatory call of `service` without body.
    #[must_use]
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), optional: false, probability: 1.0, request_bytes: 0 }
    }
}

impl Topology {
    /// Returns the service with this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services.iter().find(|service| service.name == name)
    }

    /// Returns the services that clients outside of the topology call, in the order of the file. A topology of overlays has none,
    /// each other topology at least one.
    pub fn entrypoints(&self) -> impl Iterator<Item = &ServiceSpec> {
        self.services.iter().filter(|service| service.entrypoint)
    }
}
