//! Checks that the values of a node are in their ranges.

use std::ops::RangeInclusive;

use super::{Call, Capacity, Node, NodeError, Step};

/// The longest time of one step, in milliseconds: an hour, longer than any client timeout.
const MAX_MS: f64 = 3_600_000.0;

/// The largest body, in bytes. Bodies are sent and received piece by piece, so this bounds time, not memory.
const MAX_BYTES: u64 = 64 << 20;

/// The most workers, and the most waiting requests: each open request needs up to 40 KiB of the pod's memory.
const MAX_CAPACITY: usize = 4096;

/// The longest name of a Kubernetes Service.
const MAX_NAME: usize = 63;

const NAME: &str = "lower-case letters, digits and `-`, at most 63 characters";

/// Checks a node with its whole script.
///
/// # Errors
/// Returns the first value that is out of range, with its place in the document.
pub(super) fn node(node: &Node) -> Result<(), NodeError> {
    name("name", &node.name)?;
    share("errors", node.errors)?;
    bytes("responseBytes", node.response_bytes)?;
    if let Some(capacity) = &node.capacity {
        self::capacity(capacity)?;
    }
    steps("script", &node.script)
}

fn capacity(capacity: &Capacity) -> Result<(), NodeError> {
    require(
        (1..=MAX_CAPACITY).contains(&capacity.workers),
        "capacity.workers",
        capacity.workers,
        "1 to 4096",
    )?;
    require(capacity.queue <= MAX_CAPACITY, "capacity.queue", capacity.queue, "0 to 4096")?;
    time("capacity.serviceTimeMs", capacity.service_time_ms)
}

fn steps(key: &str, steps: &[Step]) -> Result<(), NodeError> {
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::SleepMs(number) => time(&format!("{key}[{index}].sleepMs"), *number)?,
            Step::Call(call) => self::call(&format!("{key}[{index}].call"), call)?,
            Step::Parallel(nested) => self::steps(&format!("{key}[{index}].parallel"), nested)?,
        }
    }
    Ok(())
}

fn call(key: &str, call: &Call) -> Result<(), NodeError> {
    name(&format!("{key}.service"), &call.service)?;
    let scheme = matches!(call.url.scheme_str(), Some("http" | "grpc"));
    let valid = scheme && call.url.host().is_some_and(|host| !host.is_empty());
    require(
        valid,
        &format!("{key}.url"),
        &call.url,
        "http://HOST:PORT/PATH or grpc://HOST:PORT/SERVICE/METHOD",
    )?;
    share(&format!("{key}.probability"), call.probability)?;
    bytes(&format!("{key}.requestBytes"), call.request_bytes)
}

fn name(key: &str, name: &str) -> Result<(), NodeError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    require(plain && (1..=MAX_NAME).contains(&name.len()), key, name, NAME)
}

fn share(key: &str, number: f64) -> Result<(), NodeError> {
    within(0.0..=1.0, key, number, "0 to 1")
}

fn time(key: &str, number: f64) -> Result<(), NodeError> {
    within(0.0..=MAX_MS, key, number, "0 to 3600000")
}

fn bytes(key: &str, number: u64) -> Result<(), NodeError> {
    require(number <= MAX_BYTES, key, number, "0 to 67108864")
}

fn within(
    range: RangeInclusive<f64>,
    key: &str,
    number: f64,
    expected: &'static str,
) -> Result<(), NodeError> {
    require(range.contains(&number), key, number, expected)
}

fn require(valid: bool, key: &str, value: impl ToString, expected: &'static str) -> Result<(), NodeError> {
    if valid {
        return Ok(());
    }
    Err(NodeError::OutOfRange { key: key.to_owned(), value: value.to_string(), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        Node::parse(json).unwrap_err().to_string()
    }

    #[test]
    fn the_example_of_the_format_is_valid_and_survives_a_round_trip() {
        let json = r#"{"name":"cart","script":[{"sleepMs":10.0},
            {"call":{"service":"price","url":"http://price.shop.svc.cluster.local:8080/","optional":false,"probability":1.0,"requestBytes":0}},
            {"parallel":[{"call":{"service":"stock","url":"http://stock:8080/"}},{"parallel":[]}]}],
            "capacity":{"workers":8,"queue":32,"serviceTimeMs":10.0,"distribution":"exponential","cancel":false},
            "errors":0.02,"responseBytes":0}"#;
        let node = Node::parse(json).unwrap();
        assert_eq!(node.called(), ["price", "stock"]);
        assert_eq!(Node::parse(&serde_json::to_string(&node).unwrap()).unwrap(), node);
        assert!(!node.cancels());
    }

    #[test]
    fn unknown_keys_and_steps_are_errors_that_name_them() {
        for (json, expected) in [
            (r#"{"name":"a","scripts":[]}"#, "unknown field `scripts`"),
            (r#"{"name":"a","script":[{"sleep":1}]}"#, "unknown variant `sleep`"),
            (r#"{"name":"a","script":[{"call":{"service":"b","url":"http://b","retries":1}}]}"#, "`retries`"),
            (r#"{"name":"a","capacity":{"workers":1,"threads":2}}"#, "unknown field `threads`"),
            (r#"{"name":"a","capacity":{"queue":1}}"#, "missing field `workers`"),
            (r#"{"name":"a","capacity":{"workers":1,"distribution":"normal"}}"#, "unknown variant `normal`"),
            (r#"{"name":"a","script":[{"sleepMs":1,"call":{}}]}"#, "at line 1"),
        ] {
            assert!(error(json).contains(expected), "{json}: {}", error(json));
        }
    }

    #[test]
    fn values_out_of_range_are_errors_with_their_place() {
        for (json, expected) in [
            (
                r#"{"name":""}"#,
                "name is ``, expected lower-case letters, digits and `-`, at most 63 characters",
            ),
            (r#"{"name":"a","errors":1.5}"#, "errors is `1.5`, expected 0 to 1"),
            (r#"{"name":"a","capacity":{"workers":0}}"#, "capacity.workers is `0`, expected 1 to 4096"),
            (
                r#"{"name":"a","script":[{"parallel":[{"sleepMs":-1}]}]}"#,
                "script[0].parallel[0].sleepMs is `-1`, expected 0 to 3600000",
            ),
            (
                r#"{"name":"a","script":[{"call":{"service":"b","url":"https://b/"}}]}"#,
                "script[0].call.url is `https://b/`, expected http://HOST:PORT/PATH or grpc://HOST:PORT/SERVICE/METHOD",
            ),
            (
                r#"{"name":"a","script":[{"call":{"service":"b","url":"http://b/","probability":2}}]}"#,
                "script[0].call.probability is `2`, expected 0 to 1",
            ),
        ] {
            assert_eq!(error(json), expected);
        }
    }
}
