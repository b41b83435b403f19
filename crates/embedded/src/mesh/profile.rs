//! ServiceProfile objects in the data plane's terms.

use std::sync::Arc;
use std::time::Duration;

use meshy_dataplane::profile::{
    DstOverride, PathRegex, Profile, RequestMatch, ResponseClass, ResponseMatch, RetryBudget, Route,
};
use meshy_mesh::profile as written;
use meshy_mesh::profile::ServiceProfile;
use serde_json::Value;

/// What a profile says to the proxies; `None` when Linkerd's controller would not send it.
pub(super) fn translate(object: &Value) -> Option<Profile> {
    let profile = match ServiceProfile::from_value(&spoken(object)) {
        Ok(profile) => profile,
        Err(error) => {
            tracing::warn!(profile = crate::object::name(object), %error, "the profile is not followed");
            return None;
        }
    };
    // A condition that cannot be read costs the one route, not the profile.
    let routes = profile.spec.routes.iter().filter_map(|found| route(found).map(Arc::new)).collect();
    let dst_overrides = profile
        .spec
        .dst_overrides
        .iter()
        .map(|found| DstOverride::new(found.authority.clone(), quantity(&found.weight)))
        .collect();
    Some(Profile { routes, retry_budget: Some(budget(&profile.budget())), dst_overrides })
}

/// The object without what the API server adds, which a strict reader of profiles does not know.
fn spoken(object: &Value) -> Value {
    let mut bare = serde_json::json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": { "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"] },
    });
    if let Some(spec) = object.get("spec") {
        bare["spec"] = spec.clone();
    }
    bare
}

fn route(found: &written::Route) -> Option<Route> {
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

fn request(found: &written::RequestMatch) -> Option<RequestMatch> {
    let mut all = Vec::new();
    if let Some(method) = &found.method {
        all.push(RequestMatch::Method(method.parse().ok()?));
    }
    if let Some(path) = &found.path_regex {
        all.push(RequestMatch::Path(PathRegex::new(path).ok()?));
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

fn response(found: &written::ResponseMatch) -> ResponseMatch {
    let mut all = Vec::new();
    if let Some(range) = &found.status {
        let bound = |status: u32| u16::try_from(status).unwrap_or(u16::MAX);
        // Only one end given means that one status.
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

fn budget(found: &written::Budget) -> RetryBudget {
    RetryBudget {
        retry_ratio: found.retry_ratio as f32,
        min_retries_per_second: found.min_retries_per_second,
        // Nought lies outside what a proxy takes, as an unreadable one does.
        ttl: found.ttl().unwrap_or(Duration::ZERO),
    }
}

/// A weight as Kubernetes writes quantities: `1`, `"0.5"`, `500m`.
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
    fn the_seeds_profile_makes_every_get_retryable() {
        let object = json!({
            "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": { "name": "a.default.svc.cluster.local", "namespace": "default", "uid": "1" },
            "spec": {
                "routes": [{ "name": "GET /", "condition": { "method": "GET", "pathRegex": "/.*" }, "isRetryable": true }],
                "retryBudget": { "retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s" },
            },
        });
        let profile = translate(&object).expect("a good profile");
        let route = &profile.routes[0];
        assert!(route.retryable && route.condition.matches(&Method::GET, "/x"));
        assert!(!route.condition.matches(&Method::POST, "/x"));
    }

    #[test]
    fn a_route_whose_expression_cannot_be_read_is_left_out_alone() {
        let object = json!({
            "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": { "name": "a.default.svc.cluster.local", "namespace": "default" },
            "spec": { "routes": [
                { "name": "bad", "condition": { "pathRegex": "/(" } },
                { "name": "good", "condition": { "pathRegex": "/.*" } },
            ] },
        });
        let profile = translate(&object).expect("the rest is good");
        assert_eq!(profile.routes.len(), 1);
        assert_eq!(profile.routes[0].name.as_deref(), Some("good"));
    }

    #[test]
    fn weights_are_quantities() {
        for (value, number) in [(json!("500m"), 0.5), (json!(2), 2.0), (json!("0.25"), 0.25)] {
            assert!((quantity(&value) - number).abs() < 1e-9, "{value}");
        }
    }
}
