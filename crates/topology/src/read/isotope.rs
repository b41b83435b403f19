//! The format of isotope (`MockServiceGraph`, <https://github.com/istio/tools/tree/master/isotope>).
//!
//! Keys that the program of isotope reads and meshy does not use are listed in [`Topology::ignored`]; other unknown keys are errors,
//! although isotope accepts them.

use std::path::Path;

use crate::error::Problem;
use crate::model::{Probes, Protocol, ServiceSpec, Step, Topology};
use crate::parsed::{Lines, Parsed};
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Node, Value};

use super::meshy::{choice, what};
use super::script::{self, Dialect};

/// The keys of the defaults. isotope's page describes usage and policies, its program ignores them.
const DEFAULTS: [&str; 9] = [
    "type",
    "errorRate",
    "requestSize",
    "responseSize",
    "script",
    "numReplicas",
    "numRbacPolicies",
    "computeUsage",
    "memoryUsage",
];
/// The keys of a service.
const SERVICE: [&str; 13] = [
    "name",
    "type",
    "numReplicas",
    "isEntrypoint",
    "errorRate",
    "responseSize",
    "script",
    "numRbacPolicies",
    "computeUsage",
    "memoryUsage",
    "namespace",
    "cluster",
    "labels",
];
/// The keys that are read and not used.
const UNUSED: [&str; 8] = [
    "numRbacPolicies",
    "computeUsage",
    "memoryUsage",
    "namespace",
    "cluster",
    "labels",
    "hostname",
    "extra-header",
];

struct Defaults<'a> {
    service: ServiceSpec,
    script: Option<&'a Node>,
    dialect: Dialect,
}

pub(super) fn read(place: &str, node: &Node) -> Result<Parsed, Problem> {
    let known = ["apiVersion", "kind", "default", "defaults", "services"];
    let file = Fields::new(place, node, "the service graph", &known)?;
    let mut topology = Topology { name: name(place), ..Topology::default() };
    unused(node, &mut topology.ignored);
    let defaults = defaults(place, file.get("defaults").or_else(|| file.get("default")))?;
    let list = file.require("services")?;
    let mut lines = Lines { entrypoint_key: "isEntrypoint", list: list.line, ..Lines::default() };
    for node in fields::list(place, list, "`services`")? {
        topology.services.push(service(place, node, &defaults, &mut lines)?);
    }
    entrypoint(&mut topology);
    Ok(Parsed { topology, lines })
}

fn defaults<'a>(place: &str, node: Option<&'a Node>) -> Result<Defaults<'a>, Problem> {
    let empty = Node { line: 0, value: Value::Map(Vec::new()) };
    let fields = Fields::new(place, node.unwrap_or(&empty), "`defaults`", &DEFAULTS)?;
    let service = ServiceSpec {
        protocol: choice(place, &fields, "type", &Protocol::NAMES)?,
        replicas: fields.or("numReplicas", 1, fields::positive)?,
        errors: fields.or("errorRate", 0.0, share)?,
        response_bytes: fields.or("responseSize", 0, fields::size)?,
        ..ServiceSpec::new("")
    };
    let request_bytes = fields.or("requestSize", 0, fields::size)?;
    let script = match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => {
            entries.iter().find(|(key, _)| key.text == "script").map(|(_, node)| node)
        }
        _ => None,
    };
    Ok(Defaults { service, script, dialect: Dialect::Isotope { request_bytes } })
}

fn service(
    place: &str,
    node: &Node,
    defaults: &Defaults<'_>,
    lines: &mut Lines,
) -> Result<ServiceSpec, Problem> {
    let what = what(node);
    let fields = Fields::new(place, node, &what, &SERVICE)?;
    let name = fields.required("name", fields::text)?;
    let default = &defaults.service;
    let mut calls = Vec::new();
    let script: Vec<Step> = match fields.get("script").or(defaults.script) {
        Some(node) => script::script(place, node, &what, &defaults.dialect, &mut calls)?,
        None => Vec::new(),
    };
    lines.services.push(fields.require("name")?.line);
    lines.calls.push(calls);
    let protocol = match fields.get("type") {
        Some(_) => choice(place, &fields, "type", &Protocol::NAMES)?,
        None => default.protocol,
    };
    Ok(ServiceSpec {
        entrypoint: fields.or("isEntrypoint", false, fields::boolean)?,
        replicas: fields.or("numReplicas", default.replicas, fields::positive)?,
        protocol,
        errors: fields.or("errorRate", default.errors, share)?,
        response_bytes: fields.or("responseSize", default.response_bytes, fields::size)?,
        probes: Probes::Admin,
        capacity: None,
        name,
        script,
    })
}

/// Makes the service that no other service calls the entry point if the file names none. isotope deploys such a file too.
fn entrypoint(topology: &mut Topology) {
    if topology.entrypoints().next().is_some() {
        return;
    }
    let called: Vec<String> = topology
        .services
        .iter()
        .flat_map(|service| service.calls().into_iter().map(|call| call.service.clone()))
        .collect();
    let mut roots = topology.services.iter_mut().filter(|service| !called.contains(&service.name));
    if let (Some(only), None) = (roots.next(), roots.next()) {
        only.entrypoint = true;
    }
}

/// Returns a DNS label made from the name of the file.
fn name(place: &str) -> String {
    let stem = Path::new(place).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let label: String = stem
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "isotope".to_owned() } else { label.to_owned() }
}

/// Adds a line for each key that is read and not used; they are ASCII and in the order of the text.
fn unused(node: &Node, found: &mut Vec<String>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| unused(item, found)),
        Value::Map(entries) => {
            for (key, value) in entries {
                if UNUSED.contains(&key.text.as_str()) {
                    found.push(format!("line {}: meshy does not use `{}`", key.line, key.text));
                } else {
                    unused(value, found);
                }
            }
        }
        _ => {}
    }
}

/// isotope accepts a share as `2%` or as a number from 0 to 1.
fn share(value: &Value) -> Result<f64, &'static str> {
    let form = "a percentage from 0% to 100% or a number from 0 to 1";
    match value {
        Value::Float(share) if (0.0..=1.0).contains(share) => Ok(*share),
        Value::Int(0) => Ok(0.0),
        Value::Int(1) => Ok(1.0),
        Value::Text(_) => fields::percent(value).map_err(|_| form),
        _ => Err(form),
    }
}
