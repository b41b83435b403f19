//! The configuration of a pod of a topology: the environment variable `NODE` of the test service.

use serde::{Deserialize, Serialize};

use crate::model::{Capacity, Distribution, ServiceSpec, Step};

/// The configuration of a test service that is a node of a topology.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// The name of the service.
    pub name: String,
    /// What a request does, in order.
    #[serde(default)]
    pub script: Vec<NodeStep>,
    /// Absent: without limit, and without service time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<NodeCapacity>,
    /// The share of requests that fail with 500 before the script, from 0 to 1.
    #[serde(default)]
    pub errors: f64,
    /// The size of the body of a response.
    #[serde(default)]
    pub response_bytes: u64,
}

/// A step of a node's script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum NodeStep {
    /// Waits, in milliseconds.
    SleepMs(f64),
    /// Calls another service.
    Call(NodeCall),
    /// Executes steps at the same time.
    Parallel(Vec<NodeStep>),
}

/// A call of another service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCall {
    /// The name of the service.
    pub service: String,
    /// Where it is.
    pub url: String,
    /// Whether a failure leaves the request successful.
    pub optional: bool,
    /// The share of requests with this call, from 0 to 1.
    pub probability: f64,
    /// The size of the body of the request.
    pub request_bytes: u64,
}

/// How many requests a node serves at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCapacity {
    /// Requests that are served at the same time.
    pub workers: u32,
    /// Requests that wait for a worker.
    pub queue: u32,
    /// The mean service time, in milliseconds.
    pub service_time_ms: f64,
    /// `fixed`, `uniform` (0 to twice the mean) or `exponential`.
    #[serde(with = "distribution")]
    pub distribution: Distribution,
    /// Whether work stops when the client disconnects.
    pub cancel: bool,
}

mod distribution {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::model::Distribution;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(value: &Distribution, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Distribution, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = Distribution::NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        found.ok_or_else(|| D::Error::custom(format!("unknown distribution `{name}`")))
    }
}

impl NodeConfig {
    /// Returns the configuration of a service's pods. `url` returns where a service is.
    #[must_use]
    pub fn new(service: &ServiceSpec, url: &dyn Fn(&str) -> String) -> Self {
        Self {
            name: service.name.clone(),
            script: service.script.iter().map(|step| NodeStep::new(step, url)).collect(),
            capacity: service.capacity.as_ref().map(NodeCapacity::new),
            errors: service.errors,
            response_bytes: service.response_bytes,
        }
    }
}

impl NodeStep {
    fn new(step: &Step, url: &dyn Fn(&str) -> String) -> Self {
        match step {
            Step::Sleep(duration) => Self::SleepMs(duration.as_secs_f64() * 1e3),
            Step::Call(call) => Self::Call(NodeCall {
                service: call.service.clone(),
                url: url(&call.service),
                optional: call.optional,
                probability: call.probability,
                request_bytes: call.request_bytes,
            }),
            Step::Parallel(steps) => Self::Parallel(steps.iter().map(|step| Self::new(step, url)).collect()),
        }
    }
}

impl NodeCapacity {
    fn new(capacity: &Capacity) -> Self {
        Self {
            workers: capacity.workers,
            queue: capacity.queue,
            service_time_ms: capacity.service_time.mean.as_secs_f64() * 1e3,
            distribution: capacity.service_time.distribution,
            cancel: capacity.cancel,
        }
    }
}
