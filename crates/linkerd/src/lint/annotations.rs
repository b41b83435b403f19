//! Checks of annotations in Linkerd's groups: unknown keys, and injection annotations without effect.

use serde_json::Value;

use super::Sink;
use crate::{inject, names};

/// The annotation keys that Linkerd 2.20 reads on Services, routes, workloads and namespaces, by group.
const KNOWN: &[(&str, &[&str])] = &[
    ("retry.linkerd.io", &["http", "grpc", "limit", "timeout"]),
    ("timeout.linkerd.io", &["request", "response", "idle"]),
    (
        "balancer.linkerd.io",
        &[
            "failure-accrual",
            "failure-accrual-consecutive-max-failures",
            "failure-accrual-consecutive-min-penalty",
            "failure-accrual-consecutive-max-penalty",
            "failure-accrual-consecutive-jitter-ratio",
        ],
    ),
    (
        "balancer.alpha.linkerd.io",
        &[
            "failure-accrual-honor-retry-after",
            "failure-accrual-success-rate-min-requests",
            "failure-accrual-success-rate-threshold",
            "failure-accrual-success-rate-window",
            "load-biaser-max-retry-after",
            "load-biaser-penalty",
            "penalize-failures",
        ],
    ),
    ("config.alpha.linkerd.io", &["proxy-enable-native-sidecar", "proxy-wait-before-exit-seconds"]),
    ("config.beta.linkerd.io", &["proxy-enable-native-sidecar"]),
    (
        "config.linkerd.io",
        &[
            "access-log",
            "admin-port",
            "close-wait-timeout",
            "control-port",
            "debug-image",
            "debug-image-pull-policy",
            "debug-image-version",
            "default-inbound-policy",
            "enable-debug-sidecar",
            "enable-external-profiles",
            "enable-gateway",
            "image-pull-policy",
            "inbound-port",
            "init-image",
            "init-image-version",
            "opaque-ports",
            "outbound-port",
            "pod-inbound-ports",
            "proxy-additional-env",
            "proxy-admin-shutdown",
            "proxy-await",
            "proxy-cpu-limit",
            "proxy-cpu-ratio-limit",
            "proxy-cpu-request",
            "proxy-disable-inbound-protocol-detect-timeout",
            "proxy-disable-outbound-protocol-detect-timeout",
            "proxy-enable-native-sidecar",
            "proxy-ephemeral-storage-limit",
            "proxy-ephemeral-storage-request",
            "proxy-gid",
            "proxy-image",
            "proxy-inbound-connect-timeout",
            "proxy-inbound-discovery-cache-unused-timeout",
            "proxy-log-format",
            "proxy-log-http-headers",
            "proxy-log-level",
            "proxy-memory-limit",
            "proxy-memory-request",
            "proxy-metrics-hostname-labels",
            "proxy-outbound-connect-timeout",
            "proxy-outbound-discovery-cache-unused-timeout",
            "proxy-require-identity-inbound-ports",
            "proxy-uid",
            "proxy-version",
            "shutdown-grace-period",
            "skip-inbound-ports",
            "skip-outbound-ports",
            "skip-subnets",
        ],
    ),
    ("linkerd.io", &["inject", "created-by", "proxy-version", "trust-root-sha256", "helm-release-version"]),
];

pub(super) fn lint(sink: &mut Sink<'_>) {
    let kind = sink.item.kind().to_owned();
    texts(sink, "", "metadata");
    unknown(sink, "", "metadata");
    let Some(pointer) = inject::template_pointer(&kind) else {
        if kind == "Namespace" {
            value(sink, "", "metadata");
        }
        return;
    };
    let field = format!("{}.metadata", pointer.trim_start_matches('/').replace('/', "."));
    let field = field.trim_start_matches('.').to_owned();
    if pointer.is_empty() {
        value(sink, pointer, &field);
    } else {
        texts(sink, pointer, &field);
        unknown(sink, pointer, &field);
        value(sink, pointer, &field);
        if sink.item.annotations("").contains_key(names::INJECT)
            && !sink.item.annotations(pointer).contains_key(names::INJECT)
        {
            let what = format!("`{}` is set on the {kind}, not on its pod template", names::INJECT);
            sink.add(
                "inject-place",
                format!("metadata.annotations[{}]", names::INJECT),
                what,
                format!("move it to {field}.annotations"),
            );
        }
    }
    let requested = sink.item.annotations(pointer).get(names::INJECT).is_some_and(|v| v != names::DISABLED);
    if requested && sink.object().pointer(&format!("{pointer}/spec/hostNetwork")) == Some(&Value::Bool(true))
    {
        let what = "the pods use the host network";
        sink.add(
            "inject-host-network",
            format!("{field}.annotations[{}]", names::INJECT),
            what,
            "remove `hostNetwork: true` or the annotation",
        );
    }
}

/// Reports annotations of any group that are not text.
fn texts(sink: &mut Sink<'_>, pointer: &str, field: &str) {
    let annotations = sink.object().pointer(&format!("{pointer}/metadata/annotations"));
    let pairs: Vec<(String, Value)> = annotations
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_string())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in pairs {
        let todo = format!("write it in quotes: `{key}: \"{value}\"`");
        let what = format!("the value {value} is not text");
        sink.add("annotation-not-text", format!("{field}.annotations[{key}]"), what, todo);
    }
}

fn unknown(sink: &mut Sink<'_>, pointer: &str, field: &str) {
    for key in sink.item.annotations(pointer).keys() {
        let Some((group, name)) = key.split_once('/') else { continue };
        let Some((_, names)) = KNOWN.iter().find(|(known, _)| *known == group) else {
            // A misspelled group. `KNOWN` does not list the groups of extensions.
            let nearest =
                KNOWN.iter().find(|(known, _)| strsim::levenshtein(known, group) <= 2 && known.len() > 10);
            // Settings move between the stages `alpha`, `beta` and none; another stage is another group.
            let stages = [".alpha.linkerd.io", ".beta.linkerd.io"];
            let stage = stages.iter().find_map(|stage| group.strip_suffix(stage));
            let other = stage.and_then(|base| {
                KNOWN
                    .iter()
                    .find(|(known, names)| known.starts_with(&format!("{base}.")) && names.contains(&name))
            });
            if let Some((nearest, _)) = other.or(nearest) {
                let todo = format!("write `{nearest}/{name}`");
                sink.add(
                    "annotation-unknown",
                    format!("{field}.annotations[{key}]"),
                    format!("unknown group `{group}`"),
                    todo,
                );
            }
            continue;
        };
        if !names.contains(&name) {
            let nearest = names.iter().min_by_key(|known| strsim::levenshtein(known, name));
            let nearest = nearest.filter(|known| strsim::levenshtein(known, name) <= 3);
            let todo = nearest.map_or("remove it, or correct the key".to_owned(), |nearest| {
                format!("write `{group}/{nearest}`")
            });
            sink.add(
                "annotation-unknown",
                format!("{field}.annotations[{key}]"),
                format!("Linkerd 2.20 does not read `{key}`"),
                todo,
            );
        }
    }
}

fn value(sink: &mut Sink<'_>, pointer: &str, field: &str) {
    let annotations = sink.item.annotations(pointer);
    if let Some(value) = annotations.get(names::INJECT)
        && value.parse::<inject::Mode>().is_err()
    {
        let field = format!("{field}.annotations[{}]", names::INJECT);
        sink.add(
            "inject-value",
            field,
            format!("invalid value `{value}`"),
            "write `enabled`, `ingress` or `disabled`",
        );
    }
}
