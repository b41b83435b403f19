//! Checks of the annotations of the circuit breaker and of the load biaser. The policy controller reports these at the level
//! `debug` only (`policy-controller/k8s/index/src/outbound/index.rs`, `parse_accrual_config`).

use super::Sink;
use crate::names;
use crate::policy::{Annotations, Breaker};

/// The prefix of the parameters of the success rate.
const SUCCESS_RATE: &str = "balancer.alpha.linkerd.io/failure-accrual-success-rate";
/// Annotation: a `Retry-After` header sets the penalty.
const HONOR_RETRY_AFTER: &str = "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after";
/// Annotation: turns on the load biaser.
const PENALIZE: &str = "balancer.alpha.linkerd.io/penalize-failures";

/// Checks a Service or an EgressNetwork.
pub(super) fn lint(sink: &mut Sink<'_>) {
    let annotations = sink.item.annotations("");
    if sink.item.kind() == "EgressNetwork" && annotations.contains_key(PENALIZE) {
        sink.add(
            "penalize-egress",
            field(PENALIZE),
            format!("`{PENALIZE}` on an EgressNetwork"),
            "remove it; the load biaser needs the endpoints of a Service",
        );
    }
    match annotations.get(names::FAILURE_ACCRUAL).map(String::as_str) {
        None => {
            for key in parameters(&annotations) {
                let todo = format!("add `{}: unified` or `consecutive`", names::FAILURE_ACCRUAL);
                sink.add("breaker-mode-absent", field(key), format!("`{key}` without a mode"), todo);
            }
        }
        Some("consecutive") => {
            for key in parameters(&annotations).filter(|key| key.starts_with(SUCCESS_RATE)) {
                let todo = format!("write `{}: unified`", names::FAILURE_ACCRUAL);
                sink.add("breaker-mode-other", field(key), format!("`{key}` in mode `consecutive`"), todo);
            }
        }
        Some(_) => {
            if let Ok(Some(Breaker::Unified(unified))) = Breaker::from_annotations(&annotations)
                && unified.consecutive.max_failures == 0
                && unified.threshold == 0.0
            {
                sink.add(
                    "breaker-off",
                    field(names::FAILURE_ACCRUAL),
                    "max-failures and the success-rate threshold are 0",
                    "set one of them, or remove the annotations",
                );
            }
        }
    }
}

/// Checks a route, whose circuit breaker Linkerd does not read.
pub(super) fn lint_route(sink: &mut Sink<'_>) {
    let annotations = sink.item.annotations("");
    let mode = annotations.keys().map(String::as_str).find(|key| *key == names::FAILURE_ACCRUAL);
    if let Some(key) = mode.or_else(|| parameters(&annotations).next()) {
        let what = format!("`{key}` on a {}", sink.item.kind());
        sink.add("breaker-on-route", field(key), what, "set it on the Service");
    }
}

fn parameters(annotations: &Annotations) -> impl Iterator<Item = &str> {
    let prefix = format!("{}-", names::FAILURE_ACCRUAL);
    let belongs = move |key: &&str| {
        key.starts_with(&prefix) || key.starts_with(SUCCESS_RATE) || *key == HONOR_RETRY_AFTER
    };
    annotations.keys().map(String::as_str).filter(belongs)
}

fn field(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}
