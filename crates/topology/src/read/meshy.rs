//! meshy's format.

use crate::error::{Problem, nearest};
use crate::model::{Capacity, Distribution, Probes, Protocol, ServiceSpec, ServiceTime, Topology};
use crate::parsed::{Lines, Parsed};
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Node, Value};

use super::script::{self, Dialect};
use super::{API_VERSION, KIND};

/// The keys of a service.
const SERVICE: [&str; 10] = [
    "name",
    "entrypoint",
    "replicas",
    "type",
    "calls",
    "script",
    "capacity",
    "errors",
    "responseSize",
    "probes",
];

pub(super) fn read(place: &str, node: &Node) -> Result<Parsed, Problem> {
    let known = ["apiVersion", "kind", "metadata", "services", "overlays"];
    let file = Fields::new(place, node, "the topology", &known)?;
    header(place, &file)?;
    let metadata = Fields::new(place, file.require("metadata")?, "metadata", &["name", "title"])?;
    let mut topology = Topology {
        name: metadata.required("name", fields::text)?,
        title: metadata.get("title").map(|_| metadata.required("title", fields::text)).transpose()?,
        ..Topology::default()
    };
    let mut lines = Lines { entrypoint_key: "entrypoint", list: node.line, ..Lines::default() };
    match (file.get("services"), file.get("overlays")) {
        (Some(_), Some(overlays)) => {
            let message = "a topology has either `services` or `overlays`, not both";
            return Err(Problem::new(place, overlays.line, message));
        }
        (None, Some(overlays)) => {
            for overlay in fields::list(place, overlays, "`overlays`")? {
                let read = fields::text(&overlay.value);
                let read = read.map_err(|form| fields::expected(place, overlay, "an overlay", form))?;
                topology.overlays.push(read);
            }
        }
        _ => {
            let list = file.require("services")?;
            lines.list = list.line;
            for node in fields::list(place, list, "`services`")? {
                topology.services.push(service(place, node, &mut lines)?);
            }
        }
    }
    Ok(Parsed { topology, lines })
}

fn header(place: &str, file: &Fields<'_>) -> Result<(), Problem> {
    for (key, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        let found = file.required(key, fields::text)?;
        if found != expected {
            let line = file.require(key)?.line;
            let message = format!("unsupported {key} `{}`, expected {expected}", fields::shown(&found));
            return Err(Problem::new(place, line, message));
        }
    }
    Ok(())
}

fn service(place: &str, node: &Node, lines: &mut Lines) -> Result<ServiceSpec, Problem> {
    let what = what(node);
    let fields = Fields::new(place, node, &what, &SERVICE)?;
    let name = fields.required("name", fields::text)?;
    let mut calls = Vec::new();
    let script = match (fields.get("calls"), fields.get("script")) {
        (Some(_), Some(script)) => {
            let message = format!("{what} has both `calls` and `script`; write the calls into the script");
            return Err(Problem::new(place, script.line, message));
        }
        (Some(node), None) => script::calls(place, node, &what, &mut calls)?,
        (None, Some(node)) => script::script(place, node, &what, &Dialect::Meshy, &mut calls)?,
        (None, None) => Vec::new(),
    };
    lines.services.push(fields.require("name")?.line);
    lines.calls.push(calls);
    Ok(ServiceSpec {
        entrypoint: fields.or("entrypoint", false, fields::boolean)?,
        replicas: fields.or("replicas", 1, fields::positive)?,
        protocol: choice(place, &fields, "type", &Protocol::NAMES)?,
        capacity: fields.get("capacity").map(|node| capacity(place, node, &what)).transpose()?,
        errors: fields.or("errors", 0.0, fields::percent)?,
        response_bytes: fields.or("responseSize", 0, fields::size)?,
        probes: choice(place, &fields, "probes", &Probes::NAMES)?,
        name,
        script,
    })
}

/// Returns how errors name a service.
pub(super) fn what(node: &Node) -> String {
    let name = match &node.value {
        Value::Map(entries) => {
            entries.iter().find(|(key, _)| key.text == "name").map(|(_, node)| &node.value)
        }
        _ => None,
    };
    match name {
        Some(Value::Text(name)) => format!("service `{}`", fields::shown(name)),
        _ => "a service".to_owned(),
    }
}

fn capacity(place: &str, node: &Node, what: &str) -> Result<Capacity, Problem> {
    let what = format!("`capacity` of {what}");
    let fields = Fields::new(place, node, &what, &["workers", "queue", "cancel", "serviceTime"])?;
    let time = fields.require("serviceTime")?;
    let time = Fields::new(place, time, &format!("`serviceTime` in {what}"), &["mean", "distribution"])?;
    Ok(Capacity {
        workers: fields.required("workers", workers)?,
        queue: fields.required("queue", queue)?,
        cancel: fields.or("cancel", false, fields::boolean)?,
        service_time: ServiceTime {
            mean: time.required("mean", script::short)?,
            distribution: choice(place, &time, "distribution", &Distribution::NAMES)?,
        },
    })
}

/// The most workers and the most waiting requests that the test service accepts.
const MOST_CAPACITY: u32 = 4096;

fn workers(value: &Value) -> Result<u32, &'static str> {
    let workers = fields::positive(value).ok().filter(|workers| *workers <= MOST_CAPACITY);
    workers.ok_or("a whole number from 1 to 4096")
}

fn queue(value: &Value) -> Result<u32, &'static str> {
    let queue = fields::count(value).ok().filter(|queue| *queue <= MOST_CAPACITY);
    queue.ok_or("a whole number from 0 to 4096")
}

/// Returns the value that a name stands for, the default without a name.
pub(super) fn choice<T: Copy + Default>(
    place: &str,
    fields: &Fields<'_>,
    key: &str,
    names: &[(&'static str, T)],
) -> Result<T, Problem> {
    let Some(node) = fields.get(key) else { return Ok(T::default()) };
    let written = fields.required(key, fields::text)?;
    let found = names.iter().find(|(name, _)| *name == written);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let message =
            format!("unknown {key} `{}`, expected one of: {}", fields::shown(&written), all.join(", "));
        Problem::new(place, node.line, message).nearest(nearest(&written, all))
    })
}
