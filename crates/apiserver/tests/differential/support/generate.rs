//! Random sequences of requests.

use http::Method;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::step::{JSON, MERGE, STRATEGIC, Step, config_map, deployment};

/// Requests of a sequence.
const LENGTH: usize = 14;

/// Returns the sequence of a random seed.
pub(crate) fn sequence(seed: u64) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..LENGTH)
        .map(
            |_| {
                if rng.random_bool(0.5) { config_map_request(&mut rng) } else { deployment_request(&mut rng) }
            },
        )
        .collect()
}

fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

fn data(rng: &mut StdRng) -> Value {
    let mut data = json!({});
    for key in ["a", "b", "c"] {
        if rng.random_bool(0.5) {
            data[key] = (*pick(rng, &["1", "2", ""])).into();
        }
    }
    data
}

fn labels(rng: &mut StdRng) -> Value {
    let mut labels = json!({});
    for key in ["x", "y/z", "bad key"] {
        if rng.random_bool(if key == "bad key" { 0.03 } else { 0.4 }) {
            labels[key] = (*pick(rng, &["1", "2"])).into();
        }
    }
    labels
}

fn manager(rng: &mut StdRng) -> &'static str {
    pick::<&str>(rng, &["one", "two", "three"])
}

fn config_map_request(rng: &mut StdRng) -> Step {
    const PATH: &str = "/api/v1/namespaces/{ns}/configmaps";
    let name = *pick(rng, &["m", "n"]);
    let path = format!("{PATH}/{name}");
    let mut object = config_map(name, data(rng));
    if rng.random_bool(0.4) {
        object["metadata"]["labels"] = labels(rng);
    }
    if rng.random_bool(0.2) {
        object["metadata"]["annotations"] = json!({"k": *pick(rng, &["1", "2"])});
    }
    match rng.random_range(0..10) {
        0 | 1 => Step::post(&format!("{PATH}?fieldManager={}", manager(rng)), object),
        2 => Step::new(Method::PUT, &format!("{path}?fieldManager={}", manager(rng)), object),
        3 => Step::patch(
            MERGE,
            &path,
            json!({"data": {*pick(rng, &["a", "b"]): *pick(rng, &[json!(null), json!("3")])}}),
        ),
        4 => Step::patch(
            JSON,
            &path,
            json!([{"op": *pick(rng, &["add", "replace", "remove"]), "path": "/data/a", "value": "9"}]),
        ),
        5 => Step::new(Method::DELETE, &path, Value::Null),
        6 => Step::get(&path),
        _ => Step::apply(manager(rng), rng.random_bool(0.4), &path, object),
    }
}

fn container(rng: &mut StdRng, name: &str) -> Value {
    let mut container = json!({"name": name, "image": *pick(rng, &["i", "i:1", "r/i:2"])});
    if rng.random_bool(0.4) {
        container["env"] = json!([{"name": *pick(rng, &["A", "B"]), "value": *pick(rng, &["1", "2"])}]);
    }
    if rng.random_bool(0.3) {
        container["ports"] = json!([{"containerPort": *pick(rng, &[80, 81, 70_000])}]);
    }
    if rng.random_bool(0.2) {
        container["args"] = json!(["x"]);
    }
    if rng.random_bool(0.2) {
        container["resources"] = json!({"limits": {"cpu": *pick(rng, &["0.5", "500m", "1"])}});
    }
    container
}

fn deployment_request(rng: &mut StdRng) -> Step {
    const PATH: &str = "/apis/apps/v1/namespaces/{ns}/deployments";
    let path = format!("{PATH}/d");
    let mut containers = vec![container(rng, "c")];
    if rng.random_bool(0.3) {
        containers.push(container(rng, "s"));
    }
    let mut object = deployment("d", containers.into());
    if rng.random_bool(0.4) {
        object["spec"]["replicas"] = rng.random_range(0..4).into();
    }
    if rng.random_bool(0.3) {
        object["metadata"]["labels"] = labels(rng);
    }
    match rng.random_range(0..10) {
        0 | 1 => Step::post(&format!("{PATH}?fieldManager={}", manager(rng)), object),
        2 => Step::new(Method::PUT, &format!("{path}?fieldManager={}", manager(rng)), object),
        3 => Step::patch(
            STRATEGIC,
            &path,
            json!({"spec": {"template": {"spec": {"containers": [container(rng, "c")]}}}}),
        ),
        4 => Step::patch(
            MERGE,
            &path,
            json!({"spec": {"replicas": *pick(rng, &[json!(null), json!(2), json!(0)])}}),
        ),
        5 => Step::patch(
            MERGE,
            &format!("{path}/scale"),
            json!({"spec": {"replicas": rng.random_range(0..3)}}),
        ),
        6 if rng.random_bool(0.5) => Step::new(Method::DELETE, &path, Value::Null),
        6 => Step::patch(
            MERGE,
            &format!("{path}/status"),
            json!({"status": {"replicas": rng.random_range(0..3)}}),
        ),
        _ => Step::apply(manager(rng), rng.random_bool(0.4), &path, object),
    }
}
