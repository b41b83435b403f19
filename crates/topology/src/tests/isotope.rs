//! isotope's format.

use std::time::Duration;

use crate::{Call, Protocol, Step, Topology};

#[test]
fn defaults_and_scripts_of_isotope_are_read() {
    let topology = Topology::parse(
        "graphs/My_Graph.yaml",
        "
apiVersion: v1alpha1
kind: MockServiceGraph
defaults:
  errorRate: 0.1
  numReplicas: 2
  requestSize: 516
  responseSize: 1 KB
  script:
    - sleep: 100ms
services:
  - name: a
    numReplicas: 5
  - name: b
    script:
      - call: { service: a, size: 1KiB, probability: 25 }
      - sleep: 10ms
  - name: c
    type: grpc
    isEntrypoint: true
    errorRate: 20%
    responseSize: 2K
    script:
      - - call: a
        - call: { service: b, payloadSize: 80B }
      - sleep: 10ms
",
    )
    .unwrap();
    assert_eq!(topology.name, "my-graph");
    let [a, b, c] = topology.services.as_slice() else { panic!("{topology:?}") };
    assert_eq!((a.replicas, a.errors, a.response_bytes), (5, 0.1, 1024));
    assert_eq!(a.script, [Step::Sleep(Duration::from_millis(100))]);
    let call = Call { request_bytes: 1024, probability: 0.25, ..Call::new("a") };
    assert_eq!(b.script, [Step::Call(call), Step::Sleep(Duration::from_millis(10))]);
    assert_eq!((b.replicas, b.entrypoint), (2, false));
    assert_eq!((c.protocol, c.errors, c.entrypoint), (Protocol::Grpc, 0.2, true));
    let parallel = vec![
        Step::Call(Call { request_bytes: 516, ..Call::new("a") }),
        Step::Call(Call { request_bytes: 80, ..Call::new("b") }),
    ];
    assert_eq!(c.script[0], Step::Parallel(parallel));
}

#[test]
fn keys_that_meshy_does_not_use_are_listed() {
    let topology = Topology::parse(
        "x.yaml",
        "
defaults: { numRbacPolicies: 3 }
services:
  - name: a
    namespace: one
    script:
      - call: { service: b, hostname: b.two:8080 }
  - { name: b, cluster: two }
",
    )
    .unwrap();
    assert_eq!(
        topology.ignored,
        [
            "line 2: meshy does not use `numRbacPolicies`",
            "line 5: meshy does not use `namespace`",
            "line 7: meshy does not use `hostname`",
            "line 8: meshy does not use `cluster`",
        ]
    );
    // No service is an entry point; `a` is the only one that is not called.
    assert!(topology.service("a").unwrap().entrypoint);
}

#[test]
fn invalid_graphs_of_isotope_are_reported() {
    let cases = [
        (
            "services:\n  - name: a\n    script: [{ call: b }]\n",
            "x.yaml:3: service `a` calls unknown service `b`",
        ),
        (
            "services:\n  - name: a\n    script: [[[{ sleep: 1s }]]]\n",
            "x.yaml:3: a list in a nested list of `script` of service `a`: only one level of nesting is possible",
        ),
        (
            "services:\n  - name: a\n    errorrate: 1%\n",
            "x.yaml:3: unknown key `errorrate` in service `a`; did you mean `errorRate`?",
        ),
        (
            "services:\n  - name: a\n    errorRate: 2\n",
            "x.yaml:3: invalid value of `errorRate` of service `a`: expected a percentage from 0% to 100% or a number from 0 to 1, \
             found `2`",
        ),
        (
            "services: [{ name: a }, { name: b }]\n",
            "x.yaml:1: no service is an entry point: add `isEntrypoint: true` to the service that clients call",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Topology::parse("x.yaml", text).unwrap_err().to_string(), expected);
    }
}
