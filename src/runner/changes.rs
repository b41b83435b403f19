//! Policies and faults in the cluster of a run.

use anyhow::Context as _;
use meshy_experiment::scenario::Fault;
use meshy_experiment::scenario::policies::PolicyFile;
use meshy_kube::{Apply, Kinds, Manager, Object, delete, manifest};
use meshy_policy::{services, test_service};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// Applies the objects of a policy file in a namespace. Returns them in words.
pub(super) async fn apply(
    kinds: &Kinds,
    file: &PolicyFile,
    namespace: &str,
    deadline: Instant,
) -> anyhow::Result<String> {
    let objects = objects(file, namespace)?;
    let words = words(&objects);
    let apply = Apply::new(kinds, Manager::Policy, deadline).force(true);
    apply.run(objects).await.with_context(|| format!("cannot apply policy `{}`", file.name))?;
    Ok(words)
}

/// Removes the objects of a policy file; of a Service its annotations.
pub(super) async fn remove(
    kinds: &Kinds,
    file: &PolicyFile,
    namespace: &str,
    deadline: Instant,
) -> anyhow::Result<String> {
    let objects = objects(file, namespace)?;
    let words = words(&objects);
    let (mut services, others): (Vec<Object>, Vec<Object>) =
        objects.into_iter().partition(|object| manifest::kind(object) == "Service");
    for service in &mut services {
        service.metadata.annotations = None;
    }
    let removed = async {
        // Fields that this manager does not apply any more are removed by the API server.
        Apply::new(kinds, Manager::Policy, deadline).force(true).run(services).await?;
        delete::delete(kinds, others, deadline).await
    };
    removed.await.with_context(|| format!("cannot remove policy `{}`", file.name))?;
    Ok(words)
}

fn objects(file: &PolicyFile, namespace: &str) -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::new();
    for mut value in file.objects(namespace)? {
        if value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = json!(namespace);
        }
        if value["kind"] == "Service" {
            value = annotations_only(&value);
        }
        objects.extend(manifest::from_value(value)?);
    }
    Ok(objects)
}

fn annotations_only(service: &Value) -> Value {
    let metadata = &service["metadata"];
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {
        "name": metadata["name"], "namespace": metadata["namespace"], "annotations": metadata["annotations"],
    }})
}

fn words(objects: &[Object]) -> String {
    objects.iter().map(manifest::describe).collect::<Vec<_>>().join(", ")
}

/// Sets faults of a service, after its faults were reset if `reset` says so.
pub(super) async fn fault(
    client: &kube::Client,
    (namespace, service): (&str, &str),
    reset: bool,
    faults: &[&Fault],
) -> anyhow::Result<()> {
    let pods = services::pods(client, namespace, service).await?;
    if reset {
        test_service::put_fault(client, &pods, &json!({"reset": true})).await?;
    }
    for fault in faults {
        let count = fault.pods.as_ref().map_or(pods.len(), |count| count.value as usize);
        test_service::put_fault(client, &pods[..count.min(pods.len())], &body(fault)).await?;
    }
    Ok(())
}

/// The change of a fault as the test service takes it.
fn body(fault: &Fault) -> Value {
    let mut body = Map::new();
    let mut put = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
    if fault.reset {
        put("reset", json!(true));
    }
    if let Some(errors) = fault.errors {
        put("errors", json!(errors.0));
        put("blocks", json!(fault.blocks.is_some()));
    }
    if !fault.sequence.is_empty() {
        put("sequence", json!(fault.sequence));
    }
    if let Some(delay) = fault.delay {
        let mean = delay.mean.0.as_secs_f64() * 1000.0;
        put("delay", json!({"mean_ms": mean, "distribution": delay.distribution}));
    }
    if let Some(slow) = fault.slow {
        put("slow", json!(slow.0));
    }
    if fault.down {
        put("down", json!(true));
    }
    Value::Object(body)
}
