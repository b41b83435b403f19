//! GRPCRoute: read as an HTTPRoute whose matches are the paths that gRPC sends. Unknown fields are ignored.

use serde::Deserialize;
use serde_json::Value;

use crate::httproute::{BackendRef, HttpRoute, Match, ParentRef, RouteMetadata, RouteSpec, Rule, ValueMatch};
use crate::names;
use crate::policy::{Annotations, PolicyError, Retry};

#[derive(Deserialize)]
struct GrpcRoute {
    #[serde(default)]
    metadata: RouteMetadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    parent_refs: Vec<ParentRef>,
    hostnames: Vec<String>,
    rules: Vec<GrpcRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GrpcRule {
    #[serde(default)]
    matches: Vec<GrpcMatch>,
    #[serde(default)]
    filters: Vec<Value>,
    #[serde(default)]
    backend_refs: Vec<BackendRef>,
}

#[derive(Deserialize)]
struct GrpcMatch {
    #[serde(default)]
    method: Option<MethodMatch>,
    #[serde(default)]
    headers: Vec<ValueMatch>,
}

#[derive(Deserialize)]
struct MethodMatch {
    #[serde(rename = "type", default)]
    how: Option<String>,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    method: Option<String>,
}

/// Parses a GRPCRoute object and returns it as an HTTPRoute.
///
/// # Errors
/// Returns an error if a known field has an unexpected type.
pub fn from_value(object: &Value) -> Result<HttpRoute, serde_json::Error> {
    let GrpcRoute { metadata, spec } = GrpcRoute::deserialize(object)?;
    let rule = |rule: GrpcRule| Rule {
        matches: rule.matches.into_iter().map(http_match).collect(),
        filters: rule.filters,
        backend_refs: rule.backend_refs,
        ..Rule::default()
    };
    let rules = spec.rules.into_iter().map(rule).collect();
    let spec = RouteSpec { parent_refs: spec.parent_refs, hostnames: spec.hostnames, rules };
    Ok(HttpRoute { metadata, spec })
}

fn http_match(found: GrpcMatch) -> Match {
    Match { path: found.method.and_then(path), headers: found.headers, ..Match::default() }
}

/// Returns the match of the path `/SERVICE/METHOD`.
fn path(method: MethodMatch) -> Option<ValueMatch> {
    let is_expression = method.how.as_deref() == Some("RegularExpression");
    let (how, value) = match (method.service, method.method) {
        (None, None) => return None,
        (Some(service), Some(method)) if !is_expression => ("Exact", format!("/{service}/{method}")),
        (Some(service), None) if !is_expression => ("PathPrefix", format!("/{service}")),
        (None, Some(method)) if !is_expression => ("RegularExpression", format!("/[^/]+/{method}")),
        (service, method) => {
            let part =
                |part: Option<String>| part.map_or_else(|| "[^/]+".to_owned(), |text| format!("(?:{text})"));
            ("RegularExpression", format!("/{}/{}", part(service), part(method)))
        }
    };
    Some(ValueMatch { how: Some(how.to_owned()), name: None, value: Some(value) })
}

/// Parses the retries of a GRPCRoute: `retry.linkerd.io/grpc`, `/limit` and `/timeout`. Returns the gRPC codes to retry and the
/// other settings, or `None` if all are absent.
///
/// # Errors
/// Returns the first annotation with an invalid value.
pub fn retry(annotations: &Annotations) -> Result<Option<(Vec<u8>, Retry)>, PolicyError> {
    let mut others = annotations.clone();
    others.remove(names::RETRY_HTTP);
    let others = Retry::from_annotations(&others)?;
    let codes = annotations.get(names::RETRY_GRPC).map(|list| {
        codes(list).ok_or_else(|| PolicyError {
            key: names::RETRY_GRPC.to_owned(),
            what: format!(
                "invalid conditions `{list}`, expected a list of cancelled, deadline-exceeded, internal, resource-exhausted and unavailable"
            ),
        })
    });
    let codes = codes.transpose()?;
    if codes.is_none() && others.is_none() {
        return Ok(None);
    }
    let others = others.unwrap_or(Retry { statuses: Vec::new(), limit: 1, timeout: None });
    Ok(Some((codes.unwrap_or_default(), others)))
}

/// The conditions of `retry.linkerd.io/grpc`, with the codes of their statuses.
pub(crate) static CONDITIONS: [(&str, u8); 5] = [
    ("cancelled", 1),
    ("deadline-exceeded", 4),
    ("resource-exhausted", 8),
    ("internal", 13),
    ("unavailable", 14),
];

fn codes(list: &str) -> Option<Vec<u8>> {
    let code = |name: &str| CONDITIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    list.split(',').map(|name| code(name).map(|(_, code)| *code)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_method_is_matched_by_the_path_that_grpc_sends() {
        let path = |method: Value| {
            let object = json!({ "spec": { "rules": [{ "matches": [{ "method": method }] }] } });
            let path = from_value(&object).unwrap().spec.rules[0].matches[0].path.clone();
            path.map(|path| (path.how.unwrap(), path.value.unwrap()))
        };
        let of = |how: &str, value: &str| Some((how.to_owned(), value.to_owned()));
        assert_eq!(path(json!({ "service": "a.B", "method": "C" })), of("Exact", "/a.B/C"));
        assert_eq!(path(json!({ "service": "a.B" })), of("PathPrefix", "/a.B"));
        assert_eq!(path(json!({ "method": "C" })), of("RegularExpression", "/[^/]+/C"));
        let expression = json!({ "type": "RegularExpression", "service": "a.*", "method": "C|D" });
        assert_eq!(path(expression), of("RegularExpression", "/(?:a.*)/(?:C|D)"));
        assert_eq!(path(json!({})), None);
    }

    #[test]
    fn grpc_conditions_are_names_of_statuses() {
        let annotations =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let found =
            retry(&annotations(&[(names::RETRY_GRPC, "unavailable,internal"), (names::RETRY_LIMIT, "2")]));
        let (codes, others) = found.unwrap().unwrap();
        assert_eq!((codes, others.limit), (vec![14, 13], 2));
        assert_eq!(retry(&annotations(&[(names::RETRY_HTTP, "5xx")])), Ok(None), "not for GRPCRoutes");
        assert!(retry(&annotations(&[(names::RETRY_GRPC, "14")])).is_err());
    }
}
