//! ServiceProfiles, translated for the data plane.

use std::sync::Arc;
use std::time::Duration;

use meshy_dataplane::profile::{
    DstOverride, PathRegex, Profile, RequestMatch, ResponseClass, ResponseMatch, RetryBudget, Route,
};
use meshy_linkerd::profile as resource;
use meshy_linkerd::profile::{ProfileError, ServiceProfile};
use serde_json::{Value, json};

/// Translates a ServiceProfile.
///
/// # Errors
/// The profile is invalid; Linkerd's controller does not send it to proxies.
pub(super) fn translate(object: &Value) -> Result<Profile, ProfileError> {
    let profile = ServiceProfile::from_value(&without_server_fields(object))?;
    // An invalid condition disables its route, not the profile.
    let routes = profile.spec.routes.iter().filter_map(|found| route(found).map(Arc::new)).collect();
    let dst_overrides = profile
        .spec
        .dst_overrides
        .iter()
        .map(|found| DstOverride::new(found.authority.clone(), quantity(&found.weight)))
        .collect();
    Ok(Profile { routes, retry_budget: Some(budget(&profile.budget())), dst_overrides })
}

/// Returns the object without the fields that the API server adds: the parser rejects unknown fields.
fn without_server_fields(object: &Value) -> Value {
    let mut bare = json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": { "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"] },
    });
    if let Some(spec) = object.get("spec") {
        bare["spec"] = spec.clone();
    }
    bare
}

fn route(found: &resource::Route) -> Option<Route> {
    Some(Route {
        name: Some(found.name.clone()),
        condition: request(&found.condition)?,
        response_classes: found
            .response_classes
            .iter()
            .map(|class| ResponseClass {
                condition: response(&class.condition),
                is_failure: class.is_failure,
            })
            .collect(),
        retryable: found.is_retryable,
        timeout: found.timeout(),
    })
}

fn request(found: &resource::RequestMatch) -> Option<RequestMatch> {
    let mut all = Vec::new();
    if let Some(method) = &found.method {
        all.push(RequestMatch::Method(method.parse().ok()?));
    }
    if let Some(path) = &found.path_regex {
        all.push(RequestMatch::Path(PathRegex::from(meshy_linkerd::expression::whole_path(path).ok()?)));
    }
    if let Some(parts) = &found.all {
        all.push(RequestMatch::All(parts.iter().map(request).collect::<Option<_>>()?));
    }
    if let Some(parts) = &found.any {
        all.push(RequestMatch::Any(parts.iter().map(request).collect::<Option<_>>()?));
    }
    if let Some(part) = &found.not {
        all.push(RequestMatch::Not(Box::new(request(part)?)));
    }
    Some(RequestMatch::All(all))
}

fn response(found: &resource::ResponseMatch) -> ResponseMatch {
    let mut all = Vec::new();
    if let Some(range) = &found.status {
        let bound = |status: u32| u16::try_from(status).unwrap_or(u16::MAX);
        // A range with one bound means that status only.
        let (min, max) = match (bound(range.min), bound(range.max)) {
            (min, 0) => (min, min),
            (0, max) => (max, max),
            both => both,
        };
        all.push(ResponseMatch::Status { min, max });
    }
    if let Some(parts) = &found.all {
        all.push(ResponseMatch::All(parts.iter().map(response).collect()));
    }
    if let Some(parts) = &found.any {
        all.push(ResponseMatch::Any(parts.iter().map(response).collect()));
    }
    if let Some(part) = &found.not {
        all.push(ResponseMatch::Not(Box::new(response(part))));
    }
    ResponseMatch::All(all)
}

fn budget(found: &resource::Budget) -> RetryBudget {
    RetryBudget {
        retry_ratio: found.retry_ratio as f32,
        min_retries_per_second: found.min_retries_per_second,
        // A proxy rejects a ttl of zero in the same way as an invalid one.
        ttl: found.ttl().unwrap_or(Duration::ZERO),
    }
}

/// Returns a Kubernetes quantity as a number: `1`, `"0.5"` or `500m`; 0 if it is invalid.
fn quantity(value: &Value) -> f64 {
    let text = match value {
        Value::String(text) => text.trim(),
        other => return other.as_f64().unwrap_or(0.0),
    };
    match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().unwrap_or(0.0) / 1000.0,
        None => text.parse().unwrap_or(0.0),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::{quantity, translate};

    #[test]
    fn the_profile_of_the_original_demo_makes_each_get_retryable() {
        let object = json!({
            "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": { "name": "a.default.svc.cluster.local", "namespace": "default", "uid": "1" },
            "spec": {
                "routes": [{ "name": "GET /", "condition": { "method": "GET", "pathRegex": "/.*" }, "isRetryable": true }],
                "retryBudget": { "retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s" },
            },
        });
        let profile = translate(&object).expect("a valid profile");
        let route = &profile.routes[0];
        assert!(route.retryable && route.condition.matches(&Method::GET, "/x"));
        assert!(!route.condition.matches(&Method::POST, "/x"));
    }

    #[test]
    fn an_invalid_expression_disables_only_its_route() {
        let object = json!({
            "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": { "name": "a.default.svc.cluster.local", "namespace": "default" },
            "spec": { "routes": [
                { "name": "invalid", "condition": { "pathRegex": "/(" } },
                { "name": "valid", "condition": { "pathRegex": "/.*" } },
            ] },
        });
        let profile = translate(&object).expect("a valid profile");
        assert_eq!(profile.routes.len(), 1);
        assert_eq!(profile.routes[0].name.as_deref(), Some("valid"));
    }

    #[test]
    fn weights_are_quantities() {
        for (value, number) in [(json!("500m"), 0.5), (json!(2), 2.0), (json!("0.25"), 0.25)] {
            assert!((quantity(&value) - number).abs() < 1e-9, "{value}");
        }
    }
}
