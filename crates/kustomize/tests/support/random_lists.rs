//! Pods and patches with random lists: elements with and without keys, twice the same key, directives, nulls.

use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

/// A field of an element and its values.
type Values = (&'static str, &'static [&'static str]);

/// The lists of a container: their fields, each with its values.
const LISTS: [(&str, &[Values]); 3] = [
    ("env", &[("name", &["a", "b", "c"]), ("value", &["x", "y"])]),
    ("ports", &[("containerPort", &["80", "81"]), ("protocol", &["TCP", "UDP"]), ("name", &["n", "m"])]),
    ("volumeMounts", &[("mountPath", &["/a", "/b"]), ("name", &["v", "w"])]),
];

/// Writes a kustomization with a pod and a patch of its lists.
pub(crate) fn write(seed: u64, dir: &Path) {
    let mut random = StdRng::seed_from_u64(seed);
    let object = pod(&mut random, false);
    let patch = pod(&mut random, true);
    for (file, object) in [("pod.yaml", object), ("patch.yaml", patch)] {
        std::fs::write(dir.join(file), object.to_string()).expect("a file");
    }
    let text = "resources: [pod.yaml]\npatches: [{path: patch.yaml}]\n";
    std::fs::write(dir.join("kustomization.yaml"), text).expect("a file");
}

fn pod(random: &mut StdRng, patch: bool) -> Value {
    let mut names = vec!["c", "d", "e"];
    names.remove(random.random_range(0..3));
    let containers: Vec<Value> = names.into_iter().map(|name| container(random, name, patch)).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": {"containers": containers}})
}

fn container(random: &mut StdRng, name: &str, patch: bool) -> Value {
    let mut container = json!({"name": name});
    for (list, fields) in LISTS {
        if random.random_bool(0.6) {
            let mut items: Vec<Value> =
                (0..random.random_range(0..4)).map(|_| element(random, fields, patch)).collect();
            if patch && random.random_bool(0.07) {
                items.push(json!({"$patch": directive(random)}));
            }
            container[list] = items.into();
        }
    }
    container
}

fn element(random: &mut StdRng, fields: &[Values], patch: bool) -> Value {
    let mut element = Map::new();
    for (field, values) in fields {
        if random.random_bool(0.55) {
            let value = *values.choose(random).expect("a value");
            element.insert((*field).to_owned(), value.parse::<u16>().map_or(value.into(), Value::from));
        }
    }
    if patch && random.random_bool(0.08) {
        element.insert("$patch".to_owned(), directive(random).into());
    }
    if patch && random.random_bool(0.05) {
        element.insert(fields[0].0.to_owned(), Value::Null);
    }
    element.into()
}

fn directive(random: &mut StdRng) -> &'static str {
    ["delete", "replace", "merge"].choose(random).copied().expect("a directive")
}
