//! The file format as types that write it and describe it in the JSON schema. Files are read by `read`, which has the lines.

use serde::Serialize;

use crate::model::{Call, Capacity, Probes, ServiceSpec, Step, Topology};
use crate::read::{API_VERSION, KIND};
use crate::values::{format_duration, format_percent};

/// A topology file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub(crate) struct File<'a> {
    #[cfg_attr(any(test, feature = "schema"), schemars(extend("const" = API_VERSION)))]
    api_version: &'static str,
    #[cfg_attr(any(test, feature = "schema"), schemars(extend("const" = KIND)))]
    kind: &'static str,
    metadata: Metadata<'a>,
    /// The services, at least one an entry point. A topology has services or overlays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    services: Vec<Service<'a>>,
    /// Folders of kustomize overlays from which the topology is deployed.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    overlays: &'a [String],
}

#[derive(Debug, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
struct Metadata<'a> {
    /// A DNS label.
    name: &'a str,
    /// What the topology shows, one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
struct Service<'a> {
    /// A DNS label that starts with a letter.
    name: &'a str,
    /// Whether clients outside of the topology call the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<bool>,
    /// The number of pods. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    /// Default: http.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schema"), schemars(extend("enum" = ["http", "grpc"])))]
    protocol: Option<&'static str>,
    /// The calls in order; those in a nested list are made at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<Calls<'a>>>,
    /// Instead of `calls`, with waits between them. Steps in a nested list are executed at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<Vec<Steps<'a>>>,
    /// How many requests each pod serves at the same time. Default: without limit, and without service time.
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<FileCapacity>,
    /// The share of requests that fail with 500, such as `2%`. Default: 0%.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<String>,
    /// The size of a response's body, in bytes or with a unit such as `16KiB`. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    response_size: Option<Size>,
    /// The port that the kubelet probes: `admin`, or `service`, to whose probes the policies of that port apply. Default: `admin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
enum Calls<'a> {
    One(FileCall<'a>),
    Parallel(Vec<FileCall<'a>>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
enum Steps<'a> {
    One(FileStep<'a>),
    Parallel(Vec<FileStep<'a>>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
enum FileStep<'a> {
    /// Waits, for example `10ms`.
    Sleep(String),
    Call(FileCall<'a>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
enum FileCall<'a> {
    /// The name of a service.
    Name(&'a str),
    Settings(CallSettings<'a>),
}

#[derive(Debug, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
struct CallSettings<'a> {
    /// The service called.
    service: &'a str,
    /// Whether a failure of the call leaves the request successful. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    optional: Option<bool>,
    /// The share of requests with this call, such as `50%`. Default: 100%.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<String>,
    /// The size of the request's body, in bytes or with a unit. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
}

/// A size in bytes, or a text with a unit.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
enum Size {
    Bytes(u64),
    #[cfg_attr(
        not(any(test, feature = "schema")),
        expect(dead_code, reason = "only read, so only in the schema")
    )]
    #[cfg_attr(any(test, feature = "schema"), allow(dead_code, reason = "only read, so only in the schema"))]
    WithUnit(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
struct FileCapacity {
    /// Requests that a pod serves at the same time, from 1.
    workers: u32,
    /// Requests that wait for a worker; one more gets 503 at once.
    queue: u32,
    /// Whether work stops when the client disconnects. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<bool>,
    /// How long a worker is busy with a request, in addition to its calls.
    service_time: FileServiceTime,
}

#[derive(Debug, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
struct FileServiceTime {
    /// For example `10ms`.
    mean: String,
    /// Default: fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schema"), schemars(extend("enum" = ["fixed", "uniform", "exponential"])))]
    distribution: Option<&'static str>,
}

/// Returns a value unless it is the default, which files leave out.
fn unless<T: PartialEq>(value: T, default: T) -> Option<T> {
    (value != default).then_some(value)
}

impl<'a> File<'a> {
    pub(crate) fn new(topology: &'a Topology) -> Self {
        Self {
            api_version: API_VERSION,
            kind: KIND,
            metadata: Metadata { name: &topology.name, title: topology.title.as_deref() },
            services: topology.services.iter().map(Service::new).collect(),
            overlays: &topology.overlays,
        }
    }
}

impl<'a> Service<'a> {
    fn new(service: &'a ServiceSpec) -> Self {
        let calls = calls(&service.script);
        let script = || service.script.iter().map(Steps::new).collect();
        Self {
            name: &service.name,
            entrypoint: unless(service.entrypoint, false),
            replicas: unless(service.replicas, 1),
            protocol: unless(service.protocol.name(), "http"),
            script: calls.is_none().then(script),
            calls: calls.filter(|calls| !calls.is_empty()),
            capacity: service.capacity.as_ref().map(FileCapacity::new),
            errors: unless(service.errors, 0.0).map(format_percent),
            response_size: unless(service.response_bytes, 0).map(Size::Bytes),
            probes: unless(service.probes, Probes::Admin).map(|_| "service"),
        }
    }
}

/// Returns a script as calls, or `None` if it contains a sleep.
fn calls(script: &[Step]) -> Option<Vec<Calls<'_>>> {
    fn call(step: &Step) -> Option<FileCall<'_>> {
        match step {
            Step::Call(call) => Some(FileCall::new(call)),
            _ => None,
        }
    }
    fn one(step: &Step) -> Option<Calls<'_>> {
        match step {
            Step::Parallel(steps) => steps.iter().map(call).collect::<Option<_>>().map(Calls::Parallel),
            step => call(step).map(Calls::One),
        }
    }
    script.iter().map(one).collect()
}

impl<'a> Steps<'a> {
    fn new(step: &'a Step) -> Self {
        match step {
            Step::Parallel(steps) => Self::Parallel(steps.iter().filter_map(FileStep::new).collect()),
            step => FileStep::new(step).map_or_else(|| Self::Parallel(Vec::new()), Self::One),
        }
    }
}

impl<'a> FileStep<'a> {
    /// Returns nothing for parallel steps within parallel steps, which no file contains.
    fn new(step: &'a Step) -> Option<Self> {
        match step {
            Step::Sleep(duration) => Some(Self::Sleep(format_duration(*duration))),
            Step::Call(call) => Some(Self::Call(FileCall::new(call))),
            Step::Parallel(_) => None,
        }
    }
}

impl<'a> FileCall<'a> {
    fn new(call: &'a Call) -> Self {
        if *call == Call::new(&call.service) {
            return Self::Name(&call.service);
        }
        Self::Settings(CallSettings {
            service: &call.service,
            optional: unless(call.optional, false),
            probability: unless(call.probability, 1.0).map(format_percent),
            size: unless(call.request_bytes, 0).map(Size::Bytes),
        })
    }
}

impl FileCapacity {
    fn new(capacity: &Capacity) -> Self {
        let time = capacity.service_time;
        Self {
            workers: capacity.workers,
            queue: capacity.queue,
            cancel: unless(capacity.cancel, false),
            service_time: FileServiceTime {
                mean: format_duration(time.mean),
                distribution: unless(time.distribution.name(), "fixed"),
            },
        }
    }
}
