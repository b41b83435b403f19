//! The finding about a program of this machine. What was replaced in its environment is read from the events of its pod, which this
//! crate does not know; the rule and its page are here.

use super::{Finding, PROGRAM_RULE, Place};

/// Returns the finding about a container without a replaced value. `field` is its place in the pod.
pub fn program(namespace: &str, pod: &str, field: &str) -> Finding {
    let place = Place {
        file: None,
        kind: "Pod".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: pod.to_owned(),
        field: format!("{field}.env"),
    };
    Finding {
        id: PROGRAM_RULE.id,
        level: PROGRAM_RULE.level,
        place,
        what: "no environment value of this program names a Service".to_owned(),
        why: PROGRAM_RULE.why,
        todo: "if it calls Services, name them in its environment, such as `CART_URL=http://cart:8080`, or use `meshy up --http-proxy`"
            .to_owned(),
    }
}
