//! Which requests match an HTTPRoute's rule, and which of several matching rules applies.

use std::slice;

use http::{HeaderName, Method, Request};
use regex::Regex;

use super::HttpRoute;

/// One match of a rule: all of its conditions must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteMatch {
    /// The condition on the path; `None` is the prefix `/`.
    pub path: Option<PathMatch>,
    /// The conditions on headers.
    pub headers: Vec<HeaderMatch>,
    /// The conditions on query parameters.
    pub query: Vec<QueryMatch>,
    /// The method.
    pub method: Option<Method>,
}

/// A condition on the path.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// The first elements of the path: `/a` matches `/a` and `/a/b` but not `/ab`.
    Prefix(String),
    /// An expression that must match the whole path.
    Regex(Regex),
}

impl PartialEq for PathMatch {
    /// Regular expressions are equal if their texts are.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// A condition on a header.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderMatch {
    /// The header's name.
    pub name: HeaderName,
    /// The condition on its value.
    pub value: ValueMatch,
}

/// A condition on a query parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryMatch {
    /// The parameter's name.
    pub name: String,
    /// The condition on its value.
    pub value: ValueMatch,
}

/// A condition on a value.
#[derive(Clone, Debug)]
pub enum ValueMatch {
    /// Equal to the text.
    Exact(String),
    /// An expression that must match the whole value.
    Regex(Regex),
}

impl PartialEq for ValueMatch {
    /// Regular expressions are equal if their texts are.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

impl ValueMatch {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => text == value,
            Self::Regex(regex) => matches_whole(regex, value),
        }
    }
}

/// How specific a match is, in the Gateway API's order of precedence: host, path, method, headers, query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    host: (bool, usize),
    path: (u8, usize),
    method: bool,
    headers: usize,
    query: usize,
}

/// The rule that a request matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    /// The index of the route.
    pub(crate) route: usize,
    /// The index of the rule within the route.
    pub(crate) rule: usize,
    /// The path prefix of the match; `None` if it compares the path in another way.
    pub(crate) prefix: Option<&'a str>,
}

/// Returns the rule that a request matches, or `None`.
///
/// The most specific match applies; among equals the one listed first.
pub(crate) fn find<'a, B>(
    routes: impl IntoIterator<Item = &'a HttpRoute>,
    request: &Request<B>,
    host: Option<&str>,
) -> Option<Found<'a>> {
    let mut best: Option<(Rank, Found<'a>)> = None;
    for (r, route) in routes.into_iter().enumerate() {
        let Some(host) = host_rank(&route.hostnames, host) else { continue };
        for (n, rule) in route.rules.iter().enumerate() {
            let matches = if rule.matches.is_empty() { slice::from_ref(&ALL) } else { &rule.matches[..] };
            for one in matches {
                let Some(rank) = one.rank(host, request) else { continue };
                if best.as_ref().is_none_or(|(found, _)| rank > *found) {
                    best = Some((rank, Found { route: r, rule: n, prefix: one.prefix() }));
                }
            }
        }
    }
    best.map(|(_, found)| found)
}

/// The match of a rule without matches.
static ALL: RouteMatch = RouteMatch { path: None, headers: Vec::new(), query: Vec::new(), method: None };

impl RouteMatch {
    fn prefix(&self) -> Option<&str> {
        match &self.path {
            None => Some("/"),
            Some(PathMatch::Prefix(prefix)) => Some(prefix),
            Some(PathMatch::Exact(_) | PathMatch::Regex(_)) => None,
        }
    }

    fn rank<B>(&self, host: (bool, usize), request: &Request<B>) -> Option<Rank> {
        let path = match &self.path {
            None => (1, 1),
            Some(path) => path.rank(request.uri().path())?,
        };
        if self.method.as_ref().is_some_and(|method| method != request.method()) {
            return None;
        }
        let header = |one: &HeaderMatch| {
            request
                .headers()
                .get(&one.name)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|v| one.value.matches(v))
        };
        let query = |one: &QueryMatch| {
            let query = request.uri().query().unwrap_or_default();
            let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.find(|(name, _)| *name == one.name).is_some_and(|(_, value)| one.value.matches(value))
        };
        (self.headers.iter().all(header) && self.query.iter().all(query)).then_some(Rank {
            host,
            path,
            method: self.method.is_some(),
            headers: self.headers.len(),
            query: self.query.len(),
        })
    }
}

impl PathMatch {
    fn rank(&self, path: &str) -> Option<(u8, usize)> {
        match self {
            Self::Exact(text) => (text == path).then_some((3, text.len())),
            Self::Prefix(prefix) => {
                let bare = prefix.trim_end_matches('/');
                let rest = path.strip_prefix(bare)?;
                (rest.is_empty() || rest.starts_with('/')).then_some((1, prefix.len()))
            }
            // The Gateway API does not define the precedence of expressions; Linkerd's is after exact paths.
            Self::Regex(regex) => matches_whole(regex, path).then(|| (2, regex.as_str().len())),
        }
    }
}

fn matches_whole(regex: &Regex, text: &str) -> bool {
    regex.find(text).is_some_and(|found| found.range() == (0..text.len()))
}

fn host_rank(hostnames: &[String], host: Option<&str>) -> Option<(bool, usize)> {
    if hostnames.is_empty() {
        return Some((false, 0));
    }
    let host = host?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let ranks = hostnames.iter().filter_map(|hostname| match hostname.strip_prefix('*') {
        Some(suffix) => {
            (name.len() > suffix.len() && name.ends_with(suffix)).then_some((false, suffix.len()))
        }
        None => hostname.eq_ignore_ascii_case(name).then_some((true, hostname.len())),
    });
    ranks.max()
}

#[cfg(test)]
mod tests {
    use super::super::RouteRule;
    use super::*;

    fn route(matches: Vec<RouteMatch>) -> HttpRoute {
        let rules =
            matches.into_iter().map(|one| RouteRule { matches: vec![one], ..RouteRule::default() }).collect();
        HttpRoute { rules, ..HttpRoute::default() }
    }

    fn prefix(path: &str) -> RouteMatch {
        RouteMatch { path: Some(PathMatch::Prefix(path.into())), ..RouteMatch::default() }
    }

    fn matched(routes: &[HttpRoute], request: &Request<()>) -> Option<(usize, usize)> {
        find(routes, request, Some("web:80")).map(|found| (found.route, found.rule))
    }

    fn get(path: &str) -> Request<()> {
        Request::get(path).body(()).unwrap()
    }

    #[test]
    fn the_most_specific_match_applies_whatever_the_order() {
        let exact = RouteMatch { path: Some(PathMatch::Exact("/a/b".into())), ..RouteMatch::default() };
        let method = RouteMatch { method: Some(Method::GET), ..prefix("/a") };
        let routes = [route(vec![prefix("/"), prefix("/a"), method, exact])];
        assert_eq!(matched(&routes, &get("/a/b")), Some((0, 3)));
        assert_eq!(matched(&routes, &get("/a/c")), Some((0, 2)));
        assert_eq!(matched(&routes, &Request::post("/a").body(()).unwrap()), Some((0, 1)));
        assert_eq!(matched(&routes, &get("/ab")), Some((0, 0)));
    }

    #[test]
    fn expressions_are_equal_if_their_texts_are() {
        let path = |text| PathMatch::Regex(Regex::new(text).unwrap());
        assert!(path("/a") == path("/a") && path("/a") != path("/b"));
        assert!(path("/a") != PathMatch::Exact("/a".into()));
        assert!(PathMatch::Exact("/a".into()) != PathMatch::Prefix("/a".into()));
        let value = |text| ValueMatch::Regex(Regex::new(text).unwrap());
        assert!(value("a") == value("a") && value("a") != value("b"));
        assert!(value("a") != ValueMatch::Exact("a".into()));
    }

    #[test]
    fn among_equals_the_first_listed_rule_applies() {
        let routes = [route(vec![prefix("/a"), prefix("/a")]), route(vec![prefix("/a")])];
        assert_eq!(matched(&routes, &get("/a")), Some((0, 0)));
        assert_eq!(matched(&routes, &get("/b")), None);
    }

    #[test]
    fn all_conditions_on_headers_and_query_must_hold() {
        let conditions = RouteMatch {
            headers: vec![HeaderMatch { name: "x-a".parse().unwrap(), value: ValueMatch::Exact("1".into()) }],
            query: vec![QueryMatch { name: "q".into(), value: ValueMatch::Regex(Regex::new("b+").unwrap()) }],
            ..RouteMatch::default()
        };
        let routes = [route(vec![conditions])];
        let with = |path: &str| Request::get(path).header("x-a", "1").body(()).unwrap();
        assert_eq!(matched(&routes, &with("/?q=bb")), Some((0, 0)));
        assert_eq!(matched(&routes, &with("/?q=abb")), None, "the expression is anchored");
        assert_eq!(matched(&routes, &get("/?q=bb")), None);
    }

    #[test]
    fn an_exact_host_precedes_a_wildcard_and_a_wildcard_precedes_no_host() {
        let host = |name: &str| HttpRoute { hostnames: vec![name.into()], ..route(vec![prefix("/")]) };
        let routes = [route(vec![prefix("/")]), host("*.mesh"), host("a.mesh")];
        let of = |name| find(&routes, &get("/"), Some(name)).map(|found| found.route);
        assert_eq!((of("a.mesh:80"), of("b.mesh"), of("mesh")), (Some(2), Some(1), Some(0)));
    }
}
