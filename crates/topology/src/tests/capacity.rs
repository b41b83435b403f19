//! The load that a topology can serve.

use crate::{Topology, capacity_limit, visits};

fn topology(services: &str) -> Topology {
    let header = "apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: { name: x }\nservices:\n";
    Topology::parse("x.yaml", &format!("{header}{services}")).unwrap()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9 * b.abs().max(1.0)
}

#[test]
fn visits_are_counted_along_all_paths() {
    let visits = visits(&topology(
        "  - { name: a, entrypoint: true, calls: [b, [c, c], { service: d, probability: 50% }] }
  - { name: b, calls: [d, d] }
  - { name: c, calls: [d] }
  - { name: d }
  - { name: alone }\n",
    ));
    let expected = [("a", 1.0), ("b", 1.0), ("c", 2.0), ("d", 4.5), ("alone", 0.0)];
    assert!(expected.iter().all(|(name, count)| close(visits[*name], *count)), "{visits:?}");
    let shared = topology(
        "  - { name: a, entrypoint: true, calls: [c] }\n  - { name: b, entrypoint: true }\n  - { name: c }\n",
    );
    assert!(close(crate::visits(&shared)["c"], 0.5));
}

#[test]
fn the_slowest_service_limits_the_load() {
    let limit = capacity_limit(&topology(
        "  - { name: a, entrypoint: true, calls: [b, b] }
  - { name: b, replicas: 2, capacity: { workers: 4, queue: 9, serviceTime: { mean: 80ms } } }\n",
    ))
    .unwrap();
    assert_eq!(limit.service, "b");
    assert!(close(limit.requests_per_second, 2.0 * 4.0 / 0.08 / 2.0), "{limit:?}");
}

#[test]
fn a_worker_is_busy_until_its_calls_have_ended() {
    let limit = capacity_limit(&topology(
        "  - name: a
    entrypoint: true
    script: [sleep: 10ms, [call: b, sleep: 50ms], call: { service: b, probability: 50% }]
    capacity: { workers: 1, queue: 0, serviceTime: { mean: 20ms } }
  - { name: b, capacity: { workers: 100, queue: 9, serviceTime: { mean: 80ms } } }\n",
    ))
    .unwrap();
    assert_eq!(limit.service, "a");
    // 20 ms of its time, 10 ms, 80 ms for the longer of two steps, half of 80 ms.
    assert!(close(limit.busy_seconds, 0.150), "{limit:?}");
}

#[test]
fn a_topology_without_limits_has_no_capacity() {
    assert_eq!(capacity_limit(&topology("  - { name: a, entrypoint: true }\n")), None);
}
