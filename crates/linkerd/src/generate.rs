//! Generates a ServiceProfile for a service: from an OpenAPI document, or with one route for each method.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::profile::{Budget, BudgetError, ProfileError, ServiceProfile};
use crate::{duration, names};

/// The methods of OpenAPI, and whether HTTP defines them as idempotent (RFC 9110, section 9.2.2): only then a retry is safe.
const METHODS: [(&str, bool); 8] = [
    ("GET", true),
    ("HEAD", true),
    ("OPTIONS", true),
    ("TRACE", true),
    ("PUT", true),
    ("DELETE", true),
    ("POST", false),
    ("PATCH", false),
];

/// The service and the budget of a profile.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The namespace of the service.
    pub namespace: &'a str,
    /// The name of the service.
    pub name: &'a str,
    /// The number of retries per request, for example 0.2.
    pub retry_ratio: f64,
    /// The number of retries per second in addition.
    pub min_retries_per_second: u32,
}

/// Why no profile can be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The document is not an OpenAPI document.
    #[error("invalid OpenAPI document: {0}")]
    Document(String),
    /// The proxy would reject the budget.
    #[error("invalid retry budget")]
    Budget(#[from] BudgetError),
    /// The service cannot have a profile.
    #[error("invalid profile")]
    Profile(#[from] ProfileError),
}

/// Generates a profile. Routes with idempotent methods are retryable; with `openapi` there is a route for each operation,
/// otherwise one for each method.
///
/// # Errors
/// Returns an error if the document has no `paths`, if an operation has an invalid `x-linkerd-timeout`, if the budget is
/// outside the proxy's limits, or if the names are not DNS names.
pub fn profile(options: &Options<'_>, openapi: Option<&Value>) -> Result<ServiceProfile, GenerateError> {
    let budget = Budget {
        retry_ratio: options.retry_ratio,
        min_retries_per_second: options.min_retries_per_second,
        ttl: "10s".to_owned(),
    };
    budget.validate()?;
    let routes = match openapi {
        Some(document) => operations(document)?,
        None => METHODS
            .iter()
            .filter(|(method, _)| !matches!(*method, "OPTIONS" | "TRACE"))
            .map(per_method)
            .collect(),
    };
    let object = json!({
        "apiVersion": names::PROFILE_API_VERSION,
        "kind": names::PROFILE_KIND,
        "metadata": {
            "name": names::service_fqdn(options.name, options.namespace),
            "namespace": options.namespace,
        },
        "spec": {"routes": routes, "retryBudget": budget},
    });
    Ok(ServiceProfile::from_value(&object)?)
}

fn per_method((method, idempotent): &(&str, bool)) -> Value {
    json!({"name": method, "condition": {"method": method, "pathRegex": "/.*"}, "isRetryable": idempotent})
}

/// The routes of the operations, fixed paths before those with parameters: the first route that matches applies.
fn operations(document: &Value) -> Result<Vec<Value>, GenerateError> {
    let invalid = |what: &str| GenerateError::Document(what.to_owned());
    if document.get("openapi").or_else(|| document.get("swagger")).is_none() {
        return Err(invalid("it has neither `openapi` nor `swagger`"));
    }
    let paths = document["paths"].as_object().ok_or_else(|| invalid("it has no `paths`"))?;
    let base = base(document);
    let mut sorted: Vec<(&String, &Map<String, Value>)> =
        paths.iter().filter_map(|(path, item)| Some((path, item.as_object()?))).collect();
    sorted.sort_by_key(|(path, _)| (path.matches('{').count(), path.as_str()));
    let mut routes = Vec::new();
    for (path, item) in sorted {
        let whole = format!("{base}{}", path.trim_end_matches('/'));
        let whole = if whole.is_empty() { "/".to_owned() } else { whole };
        for (method, idempotent) in METHODS {
            let Some(operation) = item.get(&method.to_lowercase()).filter(|operation| operation.is_object())
            else {
                continue;
            };
            routes.push(route(method, idempotent, &whole, operation)?);
        }
    }
    if routes.is_empty() { Err(invalid("it has no operations")) } else { Ok(routes) }
}

fn route(method: &str, idempotent: bool, path: &str, operation: &Value) -> Result<Value, GenerateError> {
    // An operation can be excluded, but not included: the method decides whether a repetition is safe.
    let excluded = operation["x-linkerd-retryable"] == false;
    let mut route = json!({
        "name": format!("{method} {path}"),
        "condition": {"method": method, "pathRegex": expression(path)},
        "isRetryable": idempotent && !excluded,
    });
    if let Some(timeout) = operation.get("x-linkerd-timeout") {
        let text = timeout.as_str().unwrap_or_default();
        let valid = duration::go(text).ok().filter(|timeout| *timeout > Duration::ZERO);
        if valid.is_none() {
            let what =
                format!("`x-linkerd-timeout: {timeout}` of {method} {path} is not a duration such as `2s`");
            return Err(GenerateError::Document(what));
        }
        route["timeout"] = text.into();
    }
    Ok(route)
}

/// The path before all others: `basePath` of version 2, the path of the first server of version 3.
fn base(document: &Value) -> String {
    let server = document.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
    let path = match server.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => server,
    };
    let path = document["basePath"].as_str().unwrap_or(path).trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

/// Returns the expression of a path: a parameter is anything without a slash.
fn expression(path: &str) -> String {
    let mut text = String::new();
    let mut rest = path;
    while let Some((fixed, parameter)) = rest.split_once('{') {
        text.push_str(&regex::escape(fixed));
        text.push_str("[^/]*");
        rest = parameter.split_once('}').map_or("", |(_, after)| after);
    }
    text.push_str(&regex::escape(rest));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options<'_> =
        Options { namespace: "shop", name: "cart", retry_ratio: 0.2, min_retries_per_second: 10 };

    /// Returns `NAME EXPRESSION`, with `retried` and the timeout of each route.
    fn routes(document: &str) -> Vec<String> {
        let document: Value = serde_yaml::from_str(document).expect("YAML");
        let profile = profile(&OPTIONS, Some(&document)).expect("a profile");
        let line = |route: &crate::profile::Route| {
            let path = route.condition.path_regex.clone().unwrap_or_default();
            let retried = if route.is_retryable { " retried" } else { "" };
            let timeout = route.timeout.as_ref().map(|timeout| format!(" {timeout}")).unwrap_or_default();
            format!("{} {path}{retried}{timeout}", route.name)
        };
        profile.spec.routes.iter().map(line).collect()
    }

    #[test]
    fn operations_become_routes_with_fixed_paths_first() {
        let document = r#"
openapi: 3.1.0
servers: [{url: "https://cart.example.com/v1/"}]
paths:
  /items/{id}:
    get: {x-linkerd-timeout: 2s}
    delete: {x-linkerd-retryable: false}
    parameters: []
  /items/{id}/price.json: {get: {}}
  /items/mine: {get: {}, post: {x-linkerd-retryable: true}, patch: {}, put: {}}
"#;
        assert_eq!(
            routes(document),
            [
                "GET /v1/items/mine /v1/items/mine retried",
                "PUT /v1/items/mine /v1/items/mine retried",
                "POST /v1/items/mine /v1/items/mine",
                "PATCH /v1/items/mine /v1/items/mine",
                "GET /v1/items/{id} /v1/items/[^/]* retried 2s",
                "DELETE /v1/items/{id} /v1/items/[^/]*",
                r"GET /v1/items/{id}/price.json /v1/items/[^/]*/price\.json retried",
            ]
        );
    }

    #[test]
    fn json_of_version_2_is_read_too() {
        let document = r#"{"swagger": "2.0", "basePath": "/api", "paths": {"/": {"get": {}}}}"#;
        assert_eq!(routes(document), ["GET /api /api retried"]);
    }

    #[test]
    fn without_a_document_there_is_a_route_for_each_method() {
        let profile = profile(&OPTIONS, None).expect("a profile");
        let retried: Vec<&str> =
            profile.spec.routes.iter().filter(|r| r.is_retryable).map(|r| r.name.as_str()).collect();
        assert_eq!(retried, ["GET", "HEAD", "PUT", "DELETE"]);
        assert_eq!(profile.service(), Some(("cart", "shop")));
        let mut world = crate::lint::World::new();
        world.add_target(profile.to_value(), None);
        assert_eq!(crate::lint::lint(&world), []);
    }

    #[test]
    fn a_document_or_budget_that_cannot_work_is_an_error() {
        let error = |document: Value| profile(&OPTIONS, Some(&document)).unwrap_err().to_string();
        assert!(error(json!([])).contains("neither `openapi`"));
        assert!(error(json!({"openapi": "3.0.0"})).contains("no `paths`"));
        assert!(error(json!({"openapi": "3.0.0", "paths": {"/a": {}}})).contains("no operations"));
        let timeout = json!({"openapi": "3.0.0", "paths": {"/a": {"get": {"x-linkerd-timeout": 5}}}});
        assert!(error(timeout).contains("`x-linkerd-timeout: 5` of GET /a"));
        let ratio = Options { retry_ratio: 2000.0, ..OPTIONS };
        assert!(matches!(profile(&ratio, None), Err(GenerateError::Budget(_))));
        let name = Options { name: "Cart!", ..OPTIONS };
        assert!(matches!(profile(&name, None), Err(GenerateError::Profile(_))));
    }
}
