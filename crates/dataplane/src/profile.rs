//! Service profiles: routes, response classes, a retry budget and weighted overrides.
//!
//! Plain data, translated from the ServiceProfile object by the program that runs the proxy. `outbound` and `classify`
//! apply it.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use regex::Regex;

/// The service profile of one service that is in force for one client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// The first route that matches is the request's route.
    pub routes: Vec<Arc<Route>>,
    /// `None` is Linkerd's default: ratio 0.2, 10 retries a second, 10 s.
    pub retry_budget: Option<RetryBudget>,
    /// The services that get the requests instead of this one; empty for this one.
    pub dst_overrides: Vec<DstOverride>,
}

impl Profile {
    /// Whether this profile replaces its service's policy (annotations, HTTPRoutes, circuit breaking): it has a route or an
    /// override.
    pub(crate) fn overrides_policy(&self) -> bool {
        !self.routes.is_empty() || !self.dst_overrides.is_empty()
    }

    /// Returns the index of the first route that matches; as in Linkerd, the routes are tried one after the other.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<usize> {
        self.routes.iter().position(|route| route.condition.matches(method, path))
    }
}

/// One route of a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The label `rt_route`; `None` on the default route.
    pub name: Option<String>,
    /// The requests of the route.
    pub condition: RequestMatch,
    /// The first class that matches decides whether a response is a success or a failure.
    pub response_classes: Vec<ResponseClass>,
    /// Whether a request with a failed response is retried.
    pub retryable: bool,
    /// The time for all attempts of a request together.
    pub timeout: Option<Duration>,
}

impl Route {
    /// Returns the default route, which follows the routes of every profile: it matches all requests and has no label, no
    /// retries and no timeout.
    pub fn fallback() -> Self {
        Self {
            name: None,
            condition: RequestMatch::All(Vec::new()),
            response_classes: Vec::new(),
            retryable: false,
            timeout: None,
        }
    }

    /// Returns the name for the log.
    pub(crate) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("default")
    }
}

/// A condition on a request.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestMatch {
    /// Every condition holds; an empty list always does.
    All(Vec<RequestMatch>),
    /// At least one condition holds; an empty list never does.
    Any(Vec<RequestMatch>),
    /// The condition does not hold.
    Not(Box<RequestMatch>),
    /// The request's method is this one.
    Method(Method),
    /// The request's path, without query, matches the expression.
    Path(PathRegex),
}

impl RequestMatch {
    /// Whether a request with this method and path (without query) meets the condition.
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.matches(method, path)),
            Self::Any(any) => any.iter().any(|condition| condition.matches(method, path)),
            Self::Not(not) => !not.matches(method, path),
            Self::Method(expected) => expected == method,
            Self::Path(pattern) => pattern.0.is_match(path),
        }
    }
}

/// A regular expression that must match a whole path.
#[derive(Clone, Debug)]
pub struct PathRegex(Regex);

impl PartialEq for PathRegex {
    /// Expressions are equal if their texts are.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl From<Regex> for PathRegex {
    /// Takes an expression that is compiled and anchored already.
    fn from(regex: Regex) -> Self {
        Self(regex)
    }
}

impl PathRegex {
    /// Compiles a `pathRegex`: trims it, and anchors it at both ends unless it is anchored.
    ///
    /// # Errors
    /// When the text is not a valid regular expression; Linkerd's proxy then ignores that one route.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        let text = text.trim();
        let start = if text.starts_with('^') { "" } else { "^" };
        let end = if text.ends_with('$') { "" } else { "$" };
        Regex::new(&format!("{start}{text}{end}")).map(Self)
    }
}

/// Whether some responses are failures.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseClass {
    /// The responses of the class.
    pub condition: ResponseMatch,
    /// Whether they count as failures.
    pub is_failure: bool,
}

/// A condition on a response's status.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseMatch {
    /// Every condition holds.
    All(Vec<ResponseMatch>),
    /// At least one condition holds.
    Any(Vec<ResponseMatch>),
    /// The condition does not hold.
    Not(Box<ResponseMatch>),
    /// The status is in the range, ends included.
    Status {
        /// Lowest status of the range.
        min: u16,
        /// Highest status of the range.
        max: u16,
    },
}

impl ResponseMatch {
    /// Whether a response with this status meets the condition.
    pub fn matches(&self, status: StatusCode) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.matches(status)),
            Self::Any(any) => any.iter().any(|condition| condition.matches(status)),
            Self::Not(not) => !not.matches(status),
            Self::Status { min, max } => (*min..=*max).contains(&status.as_u16()),
        }
    }
}

/// How many retries a client may send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Retries per request. The budget rounds ratios below 1 to one over a whole number.
    pub retry_ratio: f32,
    /// Retries a second that are granted whatever the number of requests.
    pub min_retries_per_second: u32,
    /// How long a request counts for the ratio.
    pub ttl: Duration,
}

impl Default for RetryBudget {
    /// Linkerd's default for a profile without a budget.
    fn default() -> Self {
        Self { retry_ratio: 0.2, min_retries_per_second: 10, ttl: Duration::from_secs(10) }
    }
}

/// A service that gets a share of the requests.
#[derive(Clone, Debug, PartialEq)]
pub struct DstOverride {
    /// The service's name and port, such as `web-v2.default.svc.cluster.local:9090`.
    pub authority: String,
    /// The share relative to the other overrides, in ten-thousandths; 0 gets no requests.
    pub weight: u32,
}

impl DstOverride {
    /// Builds an override from a decimal weight (`0.5`, `2`), as in the ServiceProfile object.
    pub fn new(authority: impl Into<String>, weight: f64) -> Self {
        Self { authority: authority.into(), weight: (weight.max(0.0) * 10_000.0) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RequestMatch {
        RequestMatch::Path(PathRegex::new(text).unwrap())
    }

    #[test]
    fn conditions_are_all_any_not_method_and_path() {
        let route = |condition| Arc::new(Route { condition, ..Route::fallback() });
        let routes = vec![
            route(RequestMatch::All(vec![path("/a.*"), RequestMatch::Method(Method::POST)])),
            route(RequestMatch::Any(vec![path("/b"), path("/c/[0-9]+")])),
            route(RequestMatch::Not(Box::new(path("/.*[a-z]")))),
        ];
        let profile = Profile { routes, ..Profile::default() };
        let found = |method, paths: [&str; 7]| paths.map(|path| profile.find(&method, path));
        let paths = ["/abc", "/b", "/bb", "/c/12", "/c/x", "/", "/12"];
        assert_eq!(found(Method::GET, paths), [None, Some(1), None, Some(1), None, Some(2), Some(2)]);
        assert_eq!(found(Method::POST, paths)[0], Some(0));
        assert!(!RequestMatch::Any(Vec::new()).matches(&Method::GET, "/"), "any of none never matches");
    }

    #[test]
    fn a_path_expression_is_trimmed_and_anchored() {
        let matches = |text, path| {
            PathRegex::new(text).map(|regex| RequestMatch::Path(regex).matches(&Method::GET, path))
        };
        assert!(matches(" /a/[^/]* ", "/a/b").unwrap());
        assert!(!matches("/a", "/a/b").unwrap());
        assert!(!matches("/a", "/b/a").unwrap());
        assert!(matches("^/a$", "/a").unwrap());
        assert!(matches("(", "/a").is_err());
    }
}
