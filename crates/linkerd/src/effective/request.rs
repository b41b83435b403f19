//! The retries of one request: which of several HTTPRoutes is in effect for it.

use crate::httproute::{HttpRoute, Match, Rule};
use crate::lint::unsupported_filters;
use crate::policy::{Annotations, Retry, Timeouts};
use crate::{duration, expression};

/// How specific a match is: the path is exact, the length of a prefix, a method is required. The most specific match applies
/// (Gateway API, "HTTPRouteMatch").
type Specificity = (bool, usize, bool);

/// Returns the retries of a GET request for `path` without its own headers, to a Service with these annotations and
/// HTTPRoutes and without a ServiceProfile in effect; `None` if it is not retried.
///
/// A route with any retry annotation replaces those of the Service. If the Service has routes and none of them matches, the
/// proxy responds with 404.
pub fn retry_of(annotations: &Annotations, routes: &[HttpRoute], path: &str) -> Option<Retry> {
    let of_service = || Retry::from_annotations(annotations).ok().flatten();
    let retry = match route_of(routes, path) {
        Applied::NoRoutes => of_service(),
        Applied::Unmatched => None,
        Applied::Route(route) => {
            Retry::from_annotations(&route.metadata.annotations).ok().flatten().or_else(of_service)
        }
    };
    retry.filter(|retry| !retry.statuses.is_empty())
}

/// Returns the timeouts of such a request. A route with any timeout replaces those of the Service.
pub fn timeouts_of(annotations: &Annotations, routes: &[HttpRoute], path: &str) -> Timeouts {
    let of_service = || Timeouts::from_annotations(annotations).unwrap_or_default();
    match route_of(routes, path) {
        Applied::NoRoutes => of_service(),
        Applied::Unmatched => Timeouts::default(),
        Applied::Route(route) => {
            Some(of_route(route)).filter(|own| *own != Timeouts::default()).unwrap_or_else(of_service)
        }
    }
}

fn of_route(route: &HttpRoute) -> Timeouts {
    let annotated = Timeouts::from_annotations(&route.metadata.annotations).unwrap_or_default();
    let field = route.spec.rules.iter().find_map(|rule| rule.timeouts.request.as_deref());
    let field = field.and_then(|text| duration::go(text).ok()).filter(|time| !time.is_zero());
    Timeouts { request: annotated.request.or(field), ..annotated }
}

/// What applies to a request to a Service with routes.
enum Applied<'a> {
    /// Linkerd uses no route of the Service.
    NoRoutes,
    /// None of them matches.
    Unmatched,
    /// The most specific one.
    Route(&'a HttpRoute),
}

fn route_of<'a>(routes: &'a [HttpRoute], path: &str) -> Applied<'a> {
    let usable: Vec<&HttpRoute> = routes.iter().filter(|route| is_usable(route)).collect();
    if usable.is_empty() {
        return Applied::NoRoutes;
    }
    let matching = usable.into_iter().filter_map(|route| Some((specificity(route, path)?, route)));
    // Of equally specific routes the first one applies.
    let best = matching.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map_or(Applied::Unmatched, |(_, route)| Applied::Route(route))
}

/// Linkerd ignores a route with a filter that it does not implement, and one with an invalid annotation.
fn is_usable(route: &HttpRoute) -> bool {
    let annotations = &route.metadata.annotations;
    unsupported_filters(route).next().is_none()
        && Retry::from_annotations(annotations).is_ok()
        && Timeouts::from_annotations(annotations).is_ok()
}

fn specificity(route: &HttpRoute, path: &str) -> Option<Specificity> {
    route.spec.rules.iter().filter_map(|rule| of_rule(rule, path)).max()
}

fn of_rule(rule: &Rule, path: &str) -> Option<Specificity> {
    if rule.matches.is_empty() {
        return Some((false, 0, false));
    }
    rule.matches.iter().filter_map(|one| of_match(one, path)).max()
}

fn of_match(one: &Match, path: &str) -> Option<Specificity> {
    if !one.headers.is_empty() || !one.query_params.is_empty() {
        return None;
    }
    if one.method.as_deref().is_some_and(|method| method != "GET") {
        return None;
    }
    let method = one.method.is_some();
    let Some(wanted) = &one.path else { return Some((false, 0, method)) };
    let value = wanted.value.as_deref().unwrap_or("/");
    match wanted.how.as_deref() {
        Some("Exact") => (value == path).then_some((true, value.len(), method)),
        Some("RegularExpression") => {
            let expression = expression::whole_path(value).ok()?;
            expression.is_match(path).then_some((false, 0, method))
        }
        _ => {
            let prefix = value.trim_end_matches('/');
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((false, prefix.len(), method))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn route(limit: Option<&str>, rules: Value) -> HttpRoute {
        let annotations = limit.map_or(
            json!({}),
            |limit| json!({"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": limit}),
        );
        let metadata = json!({"name": "r", "annotations": annotations});
        HttpRoute::from_value(&json!({"metadata": metadata, "spec": {"rules": rules}})).unwrap()
    }

    fn limit(routes: &[HttpRoute], path: &str) -> Option<u16> {
        let service = [("retry.linkerd.io/http", "5xx"), ("retry.linkerd.io/limit", "3")];
        let service = service.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        retry_of(&service, routes, path).map(|retry| retry.limit)
    }

    #[test]
    fn the_retries_of_a_route_replace_those_of_the_service() {
        assert_eq!(limit(&[], "/"), Some(3));
        assert_eq!(limit(&[route(Some("2"), json!([{}]))], "/"), Some(2));
        assert_eq!(limit(&[route(None, json!([{}]))], "/"), Some(3));
    }

    #[test]
    fn the_most_specific_route_applies_and_a_request_without_a_route_is_not_retried() {
        let prefix = |prefix: &str| json!([{"matches": [{"path": {"value": prefix}}]}]);
        let exact = json!([{"matches": [{"path": {"type": "Exact", "value": "/a/b"}}]}]);
        let routes = [
            route(Some("1"), prefix("/a")),
            route(Some("4"), prefix("/a/b")),
            route(Some("5"), exact),
            route(Some("6"), json!([{"matches": [{"method": "POST"}]}])),
        ];
        let limits = ["/", "/a", "/ab", "/a/b/c", "/a/b"].map(|path| limit(&routes, path));
        assert_eq!(limits, [None, Some(1), None, Some(4), Some(5)]);
    }

    #[test]
    fn a_route_that_linkerd_ignores_does_not_apply() {
        let mirror = json!([{"filters": [{"type": "RequestMirror"}]}]);
        assert_eq!(limit(&[route(Some("2"), mirror)], "/"), Some(3));
        assert_eq!(limit(&[route(Some("many"), json!([{}]))], "/"), Some(3));
    }
}
