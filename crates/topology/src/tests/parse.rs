//! Valid files.

use std::time::Duration;

use serde_json::json;

use crate::{Call, Capacity, Distribution, Protocol, ServiceSpec, ServiceTime, Step, Topology};
use crate::{format_duration, format_percent, parse_duration, parse_percent, parse_size};

/// Every key of the format.
pub(super) const EVERYTHING: &str = "
apiVersion: meshy/v1alpha1
kind: Topology
metadata: { name: everything, title: Every key }
services:
  - name: front
    entrypoint: true
    calls: [cart, [price, { service: stock }], { service: audit, optional: true, probability: 12.5%, size: 16KiB }]
  - name: cart
    type: grpc
    script:
      - sleep: 1.5ms
      - call: price
      - - call: { service: stock, probability: 7% }
        - sleep: 2s
  - name: price
    replicas: 2
    capacity: { workers: 8, queue: 32, cancel: true, serviceTime: { mean: 10ms, distribution: exponential } }
    errors: 2%
  - name: stock
    responseSize: 512
  - name: audit
    capacity: { workers: 1, queue: 0, serviceTime: { mean: 0s } }
";

#[test]
fn every_key_of_the_format_is_read() {
    let topology = Topology::parse("everything.yaml", EVERYTHING).unwrap();
    assert_eq!((topology.name.as_str(), topology.title.as_deref()), ("everything", Some("Every key")));
    let audit = Call { optional: true, probability: 0.125, request_bytes: 16 * 1024, ..Call::new("audit") };
    let parallel = Step::Parallel(vec![Step::Call(Call::new("price")), Step::Call(Call::new("stock"))]);
    assert_eq!(topology.services[0].script, [Step::Call(Call::new("cart")), parallel, Step::Call(audit)]);
    let stock = Call { probability: 0.07, ..Call::new("stock") };
    assert_eq!(
        topology.services[1].script,
        [
            Step::Sleep(Duration::from_micros(1500)),
            Step::Call(Call::new("price")),
            Step::Parallel(vec![Step::Call(stock), Step::Sleep(Duration::from_secs(2))]),
        ]
    );
    assert_eq!(topology.services[1].protocol, Protocol::Grpc);
    let service_time =
        ServiceTime { mean: Duration::from_millis(10), distribution: Distribution::Exponential };
    let capacity = Capacity { workers: 8, queue: 32, cancel: true, service_time };
    let price =
        ServiceSpec { replicas: 2, capacity: Some(capacity), errors: 0.02, ..ServiceSpec::new("price") };
    assert_eq!(topology.services[2], price);
    assert_eq!(topology.services[3].response_bytes, 512);
    assert_eq!(topology.edges()[..2], [("front", "cart"), ("front", "price")]);
}

#[test]
fn a_written_topology_is_read_again_as_the_same() {
    let topology = Topology::parse("everything.yaml", EVERYTHING).unwrap();
    let text = topology.to_yaml();
    assert_eq!(Topology::parse("again.yaml", &text).unwrap(), topology, "{text}");
    assert!(text.contains("probability: 7%"), "{text}");
}

#[test]
fn a_topology_within_another_document_is_read_from_json_and_yaml() {
    #[derive(serde::Deserialize)]
    struct Scenario {
        topology: Topology,
    }
    let topology = Topology::parse("everything.yaml", EVERYTHING).unwrap();
    let json = json!({ "topology": topology }).to_string();
    assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap().topology, topology);
    let indented = EVERYTHING.replace('\n', "\n  ");
    let scenario: Scenario = serde_yaml::from_str(&format!("topology:{indented}")).unwrap();
    assert_eq!(scenario.topology, topology);
    let error = serde_json::from_str::<Scenario>(r#"{"topology": {"kind": "Topology"}}"#).err().unwrap();
    assert!(error.to_string().starts_with("topology: key `apiVersion` is missing"), "{error}");
}

#[test]
fn windows_line_ends_are_accepted() {
    let text = EVERYTHING.replace('\n', "\r\n");
    assert!(Topology::parse("x.yaml", &text).is_ok());
}

#[test]
fn durations_percentages_and_sizes_keep_their_value() {
    for (text, milliseconds) in
        [("10ms", 10), ("2s", 2000), ("1.5s", 1500), ("1m30s", 90_000), ("1h", 3_600_000)]
    {
        let duration = parse_duration(text).unwrap();
        assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
        assert_eq!(parse_duration(&format_duration(duration)), Some(duration), "{text}");
    }
    for invalid in ["", "10", "ms", "-1s", "1e3s", "1 s", "s1", "25h", "1d", "..s"] {
        assert_eq!(parse_duration(invalid), None, "{invalid}");
    }
    for thousandths in 0..=1000 {
        let share = f64::from(thousandths) / 1000.0;
        assert_eq!(parse_percent(&format_percent(share)), Some(share));
    }
    for invalid in ["", "%", "2", "101%", "-1%", "NaN%", "inf%", "2%%", "1e1%"] {
        assert_eq!(parse_percent(invalid), None, "{invalid}");
    }
    // isotope's own examples.
    for (text, bytes) in [
        ("0", 0),
        ("10k", 10_240),
        ("10Kb", 10_240),
        ("10KiB", 10_240),
        ("10 kb", 10_240),
        ("64MiB", 64 << 20),
    ] {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    for invalid in ["", "k", "-1", "1x", "65MiB", "99999999999999999999g", "1kk"] {
        assert_eq!(parse_size(invalid), None, "{invalid}");
    }
}
