//! Invalid files: each error has the line and the nearest valid name.

use crate::{Error, Topology};

/// Returns the error of a topology with these services, whose first line is line 4.
fn error(services: &str) -> String {
    let text =
        format!("apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: {{ name: x }}\nservices:\n{services}");
    Topology::parse("x.yaml", &text).unwrap_err().to_string()
}

const TWO: &str = "  - { name: front, entrypoint: true, calls: [price] }\n  - name: price\n";

#[test]
fn unknown_names_are_reported_with_the_nearest() {
    let cases = [
        (
            "  - name: front\n    entrypoint: true\n    calls:\n      - [prize]\n  - name: price\n",
            "x.yaml:8: service `front` calls unknown service `prize`; did you mean `price`?",
        ),
        (
            "  - name: front\n    entrypoint: true\n    calls:\n      - optional: true\n        service: nothing\n",
            "x.yaml:9: service `front` calls unknown service `nothing`",
        ),
        (
            "  - name: front\n    entrypoint: true\n    replica: 2\n",
            "x.yaml:7: unknown key `replica` in service `front`; did you mean `replicas`?",
        ),
        (
            "  - name: front\n    capacity: { worker: 2 }\n",
            "x.yaml:6: unknown key `worker` in `capacity` of service `front`; did you mean `workers`?",
        ),
        (
            "  - name: front\n    type: htp\n",
            "x.yaml:6: unknown type `htp`, expected one of: http, grpc; did you mean `http`?",
        ),
        (
            "  - name: front\n    calls:\n      - { service: price, optionel: true }\n",
            "x.yaml:7: unknown key `optionel` in a call in `calls` of service `front`; did you mean `optional`?",
        ),
        (
            "  - name: front\n    capacity:\n      workers: 1\n      queue: 1\n      serviceTime: { mean: 1s, distribution: exp }\n",
            "x.yaml:9: unknown distribution `exp`, expected one of: fixed, uniform, exponential",
        ),
    ];
    for (services, expected) in cases {
        assert_eq!(error(services), expected);
    }
}

#[test]
fn invalid_values_are_reported_with_the_expected_form() {
    let capacity = |text: &str| format!("  - name: front\n    capacity: {{ {text} }}\n");
    let cases = [
        (
            capacity("workers: 0, queue: 1, serviceTime: { mean: 1s }"),
            "x.yaml:6: invalid value of `workers` of `capacity` of service `front`: expected a whole number from 1 to 4096, found `0`",
        ),
        (
            capacity("workers: 1, queue: -1, serviceTime: { mean: 1s }"),
            "x.yaml:6: invalid value of `queue` of `capacity` of service `front`: expected a whole number from 0 to 4096, found `-1`",
        ),
        (
            capacity("workers: 1, queue: 1, serviceTime: { mean: 10 }"),
            "x.yaml:6: invalid value of `mean` of `serviceTime` in `capacity` of service `front`: expected a duration such as \
             10ms, 1.5s or 1m30s, found `10`",
        ),
        (
            capacity("workers: 1, queue: 5000, serviceTime: { mean: 1s }"),
            "x.yaml:6: invalid value of `queue` of `capacity` of service `front`: expected a whole number from 0 to 4096, found `5000`",
        ),
        (
            "  - name: front\n    script: [{ sleep: 2h }]\n".to_owned(),
            "x.yaml:6: invalid value of `sleep` of a step in `script` of service `front`: expected a duration of at most 1h, found `2h`",
        ),
        (
            "  - name: front\n    responseSize: 65MiB\n".to_owned(),
            "x.yaml:6: invalid value of `responseSize` of service `front`: expected a size of at most 64MiB such as 512, 16KiB or 1MB, \
             found `65MiB`",
        ),
        (
            "  - name: front\n    errors: 200%\n".to_owned(),
            "x.yaml:6: invalid value of `errors` of service `front`: expected a percentage from 0% to 100%, such as 2%, found `200%`",
        ),
        (
            "  - name: front\n    errors: 0.02\n".to_owned(),
            "x.yaml:6: invalid value of `errors` of service `front`: expected a percentage from 0% to 100%, such as 2%, found `0.02`",
        ),
        (
            "  - name: front\n    entrypoint: yes\n".to_owned(),
            "x.yaml:6: invalid value of `entrypoint` of service `front`: expected true or false, found `yes`",
        ),
        (
            "  - name: front\n    replicas: 0\n".to_owned(),
            "x.yaml:6: invalid value of `replicas` of service `front`: expected a whole number from 1, found `0`",
        ),
        (
            "  - name: front\n    script:\n      - sleep: soon\n".to_owned(),
            "x.yaml:7: invalid value of `sleep` of a step in `script` of service `front`: expected a duration such as 10ms, 1.5s or \
             1m30s, found `soon`",
        ),
        (
            "  - name: front\n    calls: price\n".to_owned(),
            "x.yaml:6: invalid value of `calls` of service `front`: expected a list, found `price`",
        ),
        (
            "  - name: front\n    calls: [7]\n".to_owned(),
            "x.yaml:6: invalid value of a call in `calls` of service `front`: expected the name of a service or a mapping, found `7`",
        ),
    ];
    for (services, expected) in cases {
        assert_eq!(error(&services), expected);
    }
}

#[test]
fn what_does_not_fit_together_is_reported() {
    let cases = [
        ("  - name: front\n  - name: front\n", "x.yaml:6: duplicate service `front`, also defined in line 5"),
        (
            "  - name: front\n",
            "x.yaml:5: no service is an entry point: add `entrypoint: true` to the service that clients call",
        ),
        (
            "  - { name: a, entrypoint: true, calls: [b] }\n  - { name: b, calls: [c] }\n  - { name: c, calls: [d, b] }\n  - name: d\n",
            "x.yaml:7: cycle of calls: b → c → b",
        ),
        ("  - { name: a, entrypoint: true, calls: [a] }\n", "x.yaml:5: cycle of calls: a → a"),
        (
            "  - name: a\n    calls: [b]\n    script: []\n",
            "x.yaml:7: service `a` has both `calls` and `script`; write the calls into the script",
        ),
        (
            "  - name: a\n    calls: [[b, [c]]]\n",
            "x.yaml:6: a list in a nested list of `calls` of service `a`: only one level of nesting is possible",
        ),
        (
            "  - name: a\n    script: [{ sleep: 1s, call: b }]\n",
            "x.yaml:6: a step in `script` of service `a` has either `sleep` or `call`; write two steps",
        ),
        ("  - entrypoint: true\n", "x.yaml:5: key `name` is missing in a service"),
        (
            "  - name: Front\n",
            "x.yaml:5: invalid name of a service `Front`: expected at most 63 characters of a-z, 0-9 and -, a letter first",
        ),
        (
            "  - name: 1front\n",
            "x.yaml:5: invalid name of a service `1front`: expected at most 63 characters of a-z, 0-9 and -, a letter first",
        ),
        ("  []\n", "x.yaml:5: the topology has no service"),
    ];
    for (services, expected) in cases {
        assert_eq!(error(services), expected);
    }
}

#[test]
fn the_header_is_checked() {
    let cases = [
        ("", "x.yaml: the file is empty"),
        (
            "apiVersion: meshy/v2\nkind: Topology\n",
            "x.yaml:1: unsupported apiVersion `meshy/v2`, expected meshy/v1alpha1",
        ),
        (
            "apiVersion: meshy/v1alpha1\nkind: Scenario\n",
            "x.yaml:2: unsupported kind `Scenario`, expected Topology",
        ),
        ("a: 1\na: 2\n", "x.yaml:2: cannot parse YAML: duplicate mapping key: a"),
        ("a: 1\n---\nb: 2\n", "x.yaml:3: expected one document, found another one"),
        ("[]\n", "x.yaml:1: invalid value of the topology: expected a mapping, found a list"),
        (
            "apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: { name: x }\n",
            "x.yaml:1: key `services` is missing in the topology",
        ),
        (
            "apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: { name: x }\nservices: []\noverlays: []\n",
            "x.yaml:5: a topology has either `services` or `overlays`, not both",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Topology::parse("x.yaml", text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn hostile_names_are_shortened_and_escaped() {
    let name = "\\e[31m".to_owned() + &"x".repeat(10_000);
    let message = error(&format!("  - name: \"{name}\"\n"));
    assert!(message.len() < 300 && message.contains(r"\u{1b}[31m") && message.contains('…'), "{message}");
    let name = "\\e[31m".to_owned() + &"x".repeat(1000);
    let message = error(&format!("{TWO}  - \"{name}\": 1\n"));
    assert!(message.len() < 400 && message.contains(r"\u{1b}[31m"), "{message}");
}

#[test]
fn a_chain_of_thousands_of_services_and_deep_nesting_are_checked() {
    let mut services = String::new();
    for n in 0..1000 {
        services += &format!("  - {{ name: s{n}, entrypoint: true, calls: [s{}] }}\n", n + 1);
    }
    let expected = "x.yaml:1006: cycle of calls: s0 → s1 → s2 → s3 → s4 → s5 → s6 → s7 → … → s0";
    assert_eq!(error(&format!("{services}  - name: s1000\n    calls: [s0]\n")), expected);
    let deep = format!("  - name: a\n    calls: {}\n", "[".repeat(10_000));
    assert!(error(&deep).contains("cannot parse YAML"), "{}", error(&deep));
}

#[test]
fn an_unknown_topology_is_reported_with_the_nearest() {
    let error = Topology::load("chain4").unwrap_err();
    assert_eq!(error.to_string(), "unknown topology `chain4`; did you mean `chain-4`?");
    let error = Topology::load("no/such/file.yaml").unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
    let error = Topology::load(env!("CARGO_MANIFEST_DIR")).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}
