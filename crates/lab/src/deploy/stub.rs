//! `--stub NAME=errors:30%,delay:200ms,calls:a+b`: the test service in place of a missing dependency.

use std::time::Duration;

use anyhow::anyhow;
use meshy_base::error::{Advise, Exit};
use meshy_kube::{Object, manifest};
use meshy_topology::{Call, ManifestOptions, NodeConfig, SERVICE_PORT, ServiceSpec, Step, Topology};
use meshy_topology::{parse_duration, parse_percent};
use serde_json::{Value, json};

use super::Bundle;
use crate::overlay;

/// A service that the test service stands in for.
#[derive(Clone, Debug, PartialEq)]
pub struct Stub {
    name: String,
    errors: f64,
    delay: Option<Duration>,
    calls: Vec<String>,
    port: Option<u16>,
}

impl Stub {
    /// Reads `NAME` or `NAME=KEY:VALUE,…` with the keys `errors`, `delay`, `calls` and `port`.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (name, settings) = text.split_once('=').unwrap_or((text, ""));
        let invalid = |why: String| {
            Err(anyhow!("invalid stub `{text}`: {why}"))
                .hint("for example `--stub price=errors:30%,delay:200ms,calls:tax+stock,port:80`; each part can be left out")
                .exit(Exit::Usage)
        };
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.len() > 63
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
            || !name.chars().all(is_inner)
        {
            return invalid(format!("`{name}` is not the name of a Service"));
        }
        let mut stub =
            Self { name: name.to_owned(), errors: 0.0, delay: None, calls: Vec::new(), port: None };
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once(':').unwrap_or((setting, ""));
            match (key, parse_percent(value), parse_duration(value), value.parse::<u16>()) {
                ("errors", Some(errors), ..) => stub.errors = errors,
                ("delay", _, Some(delay), _) => stub.delay = Some(delay),
                ("port", .., Ok(port)) if port != 0 => stub.port = Some(port),
                ("calls", ..) if !value.is_empty() => {
                    stub.calls = value.split('+').map(str::to_owned).collect();
                }
                ("errors", ..) => {
                    return invalid(format!("invalid share `{value}`, expected for example 30%"));
                }
                ("delay", ..) => {
                    return invalid(format!("invalid duration `{value}`, expected for example 200ms"));
                }
                ("port", ..) => return invalid(format!("invalid port `{value}`")),
                ("calls", ..) => return invalid("`calls` needs the names of Services".to_owned()),
                _ => return invalid(format!("unknown key `{key}`, expected errors, delay, calls or port")),
            }
        }
        Ok(stub)
    }

    fn spec(&self) -> ServiceSpec {
        let delay = self.delay.map(Step::Sleep);
        let calls = self.calls.iter().map(|name| Step::Call(Call::new(name.clone())));
        let script = delay.into_iter().chain(calls).collect();
        ServiceSpec { script, errors: self.errors, ..ServiceSpec::new(self.name.clone()) }
    }
}

/// Replaces the workload and Service of each stub, if they are there, and adds the test service. The ports of the Service stay.
///
/// # Errors
/// A manifest cannot be made from the stub.
pub fn apply(bundles: &mut Vec<Bundle>, stubs: &[Stub]) -> anyhow::Result<()> {
    if bundles.is_empty() && !stubs.is_empty() {
        bundles.push(Bundle { name: "stubs".to_owned(), objects: Vec::new(), warnings: Vec::new() });
    }
    let ports = |bundles: &[Bundle], name: &str| -> Option<u64> {
        let stub = stubs.iter().find(|stub| stub.name == name).and_then(|stub| stub.port.map(u64::from));
        let mut objects = bundles.iter().flat_map(|bundle| &bundle.objects);
        let service = objects.find(|object| is(object, "Service", name));
        stub.or_else(|| service?.data["spec"]["ports"][0]["port"].as_u64())
    };
    for stub in stubs {
        let place =
            bundles.iter().position(|bundle| bundle.objects.iter().any(|object| is_replaced(object, stub)));
        let namespace = namespace_of(bundles, stub);
        let existing = bundles
            .iter()
            .flat_map(|bundle| &bundle.objects)
            .find(|object| is(object, "Service", &stub.name));
        let service_ports = existing.map(|service| service.data["spec"]["ports"].clone());
        let url = |name: &str| {
            let port = ports(bundles, name).unwrap_or(u64::from(SERVICE_PORT));
            format!("http://{name}.{namespace}.svc.cluster.local:{port}/")
        };
        let objects = objects(stub, &namespace, service_ports, &url)?;
        for bundle in bundles.iter_mut() {
            bundle.objects.retain(|object| !is_replaced(object, stub));
        }
        if let Some(bundle) = bundles.get_mut(place.unwrap_or(0)) {
            bundle.objects.extend(objects);
        }
    }
    Ok(())
}

/// The namespace of what is replaced, else of the first workload.
fn namespace_of(bundles: &[Bundle], stub: &Stub) -> String {
    let objects = || bundles.iter().flat_map(|bundle| &bundle.objects);
    let replaced = objects().find(|object| is_replaced(object, stub));
    let workload = || objects().find(|object| manifest::kind(object) == "Deployment");
    let namespace = replaced.or_else(workload).and_then(|object| object.metadata.namespace.clone());
    namespace.unwrap_or_else(|| super::topology::NAMESPACE.to_owned())
}

fn is_replaced(object: &Object, stub: &Stub) -> bool {
    ["Deployment", "StatefulSet", "Service"].iter().any(|kind| is(object, kind, &stub.name))
}

fn is(object: &Object, kind: &str, name: &str) -> bool {
    manifest::kind(object) == kind && object.metadata.name.as_deref() == Some(name)
}

fn objects(
    stub: &Stub,
    namespace: &str,
    existing_ports: Option<Value>,
    url: &dyn Fn(&str) -> String,
) -> anyhow::Result<Vec<Object>> {
    let spec = stub.spec();
    let node = serde_json::to_string(&NodeConfig::new(&spec, url))?;
    let topology = Topology { name: stub.name.clone(), services: vec![spec], ..Topology::default() };
    let options =
        ManifestOptions { namespace: namespace.to_owned(), image: overlay::default_image(), inject: true };
    let mut values = meshy_topology::manifests(&topology, &options);
    // The namespace belongs to the manifests.
    values.retain(|value| value["kind"] != "Namespace");
    for value in &mut values {
        if value["kind"] == "Deployment" {
            value["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!(node);
        }
        if value["kind"] == "Service" {
            let mut ports = existing_ports
                .clone()
                .filter(|_| stub.port.is_none())
                .unwrap_or_else(|| json!([{ "name": "http", "port": stub.port.unwrap_or(SERVICE_PORT) }]));
            for port in ports.as_array_mut().into_iter().flatten() {
                port["targetPort"] = json!(SERVICE_PORT);
            }
            value["spec"]["ports"] = ports;
        }
    }
    let each: anyhow::Result<Vec<_>> = values.into_iter().map(manifest::from_value).collect();
    Ok(each?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundles() -> Vec<Bundle> {
        let text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}\n---\n\
                    {apiVersion: apps/v1, kind: Deployment, metadata: {name: price, namespace: shop}}\n---\n\
                    {apiVersion: v1, kind: Service, metadata: {name: price, namespace: shop}, spec: {ports: [{port: 3000}]}}\n---\n\
                    {apiVersion: v1, kind: Service, metadata: {name: tax, namespace: shop}, spec: {ports: [{port: 81}]}}";
        vec![Bundle { name: "x".to_owned(), objects: manifest::parse(text).unwrap(), warnings: Vec::new() }]
    }

    #[test]
    fn a_stub_replaces_a_workload_and_keeps_the_ports_of_its_service() {
        let mut bundles = bundles();
        apply(&mut bundles, &[Stub::parse("price=errors:30%,delay:200ms,calls:tax").unwrap()]).unwrap();
        let find = |kind: &str| bundles[0].objects.iter().find(|object| is(object, kind, "price")).unwrap();
        let service = find("Service");
        assert_eq!(service.data["spec"]["ports"], json!([{ "port": 3000, "targetPort": 8080 }]));
        assert_eq!(service.metadata.namespace.as_deref(), Some("shop"));
        let container = &find("Deployment").data["spec"]["template"]["spec"]["containers"][0];
        let node: NodeConfig = serde_json::from_str(container["env"][0]["value"].as_str().unwrap()).unwrap();
        assert_eq!(node.errors, 0.3);
        let script = serde_json::to_value(&node.script).unwrap();
        assert_eq!(script[0], json!({ "sleepMs": 200.0 }));
        assert_eq!(script[1]["call"]["url"], "http://tax.shop.svc.cluster.local:81/");
        let deployments =
            bundles[0].objects.iter().filter(|object| is(object, "Deployment", "price")).count();
        assert_eq!(deployments, 1);
    }

    #[test]
    fn a_stub_without_a_workload_is_added_next_to_the_others() {
        let mut bundles = bundles();
        apply(&mut bundles, &[Stub::parse("stock=port:80").unwrap()]).unwrap();
        let service = bundles[0].objects.iter().find(|object| is(object, "Service", "stock")).unwrap();
        assert_eq!(service.data["spec"]["ports"][0]["port"], 80);
        assert_eq!(service.metadata.namespace.as_deref(), Some("shop"));
    }

    #[test]
    fn an_invalid_stub_is_an_error_that_shows_the_form() {
        for (text, expected) in [
            ("Price", "`Price` is not the name of a Service"),
            ("price=errors:x", "invalid share `x`"),
            ("price=delay:x", "invalid duration `x`"),
            ("price=port:0", "invalid port `0`"),
            ("price=calls:", "`calls` needs the names"),
            ("price=latency:1s", "unknown key `latency`"),
        ] {
            let error = Stub::parse(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(meshy_base::error::hints(&error)[0].contains("errors:30%"));
        }
    }
}
