//! Findings about the calls of several services. What is wrong with them is computed from a call graph, which this crate does not
//! know; the rules, their levels and their pages are here.

use super::rules::rule;
use super::{Finding, Place};

/// Returns the finding of one of the `CALL_RULES` about a Service: the last one that is called.
///
/// # Panics
/// Panics if there is no such rule.
pub fn calls(id: &'static str, namespace: &str, service: &str, what: String) -> Finding {
    let rule = rule(id);
    let todo = match id {
        "consecutive-retries" => "retry at one edge only, close to the client, or use a retry budget",
        "inner-timeout" => "let the inner timeout × attempts be shorter than the outer timeout",
        "retries-without-timeout" => {
            "set `timeout.linkerd.io/request` (with a ServiceProfile, `timeout` of its routes); `retry.linkerd.io/timeout` does not \
             bound the last attempt"
        }
        _ => "use a ServiceProfile, whose retry budget bounds the retries of each client",
    };
    let place = Place {
        file: None,
        kind: "Service".to_owned(),
        namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
        name: service.to_owned(),
        field: "the policies of its clients".to_owned(),
    };
    Finding { id: rule.id, level: rule.level, place, what, why: rule.why, todo: todo.to_owned() }
}
