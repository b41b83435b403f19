//! What a service profile says: routes, response classes, a retry budget and weighted overrides.
//!
//! Plain data, translated from the ServiceProfile object by whoever runs the proxy. What the data means is decided in
//! `outbound` and `classify`.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use regex::Regex;

/// A service profile in force for one service as one client sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Tried in this order; the first that matches is the request's route.
    pub routes: Vec<Arc<Route>>,
    /// `None` stands for Linkerd's default: ratio 0.2, ten a second, ten seconds.
    pub retry_budget: Option<RetryBudget>,
    /// Where the requests go instead of to the service itself; empty keeps them there.
    pub dst_overrides: Vec<DstOverride>,
}

impl Profile {
    /// Whether this profile replaces the newer policy (annotations, HTTPRoutes, circuit breaking) of its service.
    ///
    /// A profile that has neither routes nor overrides does not.
    pub fn overrides_policy(&self) -> bool {
        !self.routes.is_empty() || !self.dst_overrides.is_empty()
    }
}

/// One route of a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The label `rt_route`; `None` on the default route.
    pub name: Option<String>,
    /// Which requests belong to the route.
    pub condition: RequestMatch,
    /// Tried in order; the first that matches decides success or failure.
    pub response_classes: Vec<ResponseClass>,
    /// Whether a failed answer may be asked for again.
    pub retryable: bool,
    /// The time all tries of a request share.
    pub timeout: Option<Duration>,
}

impl Route {
    /// The route appended to every profile: matches everything, has no label, no retry and no timeout.
    pub fn fallback() -> Self {
        Self {
            name: None,
            condition: RequestMatch::All(Vec::new()),
            response_classes: Vec::new(),
            retryable: false,
            timeout: None,
        }
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
    /// The request's path, without its query, matches.
    Path(PathRegex),
}

impl RequestMatch {
    /// Whether a request with this method and path (without query) meets the condition.
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(method, path)),
            Self::Any(any) => any.iter().any(|one| one.matches(method, path)),
            Self::Not(not) => !not.matches(method, path),
            Self::Method(wanted) => wanted == method,
            Self::Path(pattern) => pattern.0.is_match(path),
        }
    }
}

/// A regular expression that has to match a whole path.
#[derive(Clone, Debug)]
pub struct PathRegex(Regex);

impl PartialEq for PathRegex {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PathRegex {
    /// Compiles a `pathRegex`: space around it is dropped, and it is anchored at both ends unless it is already.
    ///
    /// # Errors
    /// When the text is no regular expression; Linkerd's proxy then drops the route alone.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        let text = text.trim();
        let start = if text.starts_with('^') { "" } else { "^" };
        let end = if text.ends_with('$') { "" } else { "$" };
        Regex::new(&format!("{start}{text}{end}")).map(Self)
    }

    /// The anchored expression.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Says of some answers whether they are failures.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseClass {
    /// Which answers belong to the class.
    pub condition: ResponseMatch,
    /// Whether they count as failures.
    pub is_failure: bool,
}

/// A condition on an answer: only its status is looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseMatch {
    /// Every condition holds.
    All(Vec<ResponseMatch>),
    /// At least one condition holds.
    Any(Vec<ResponseMatch>),
    /// The condition does not hold.
    Not(Box<ResponseMatch>),
    /// The status lies in the range, both ends included.
    Status {
        /// Smallest status of the range.
        min: u16,
        /// Largest status of the range.
        max: u16,
    },
}

impl ResponseMatch {
    /// Whether an answer with this status meets the condition.
    pub fn matches(&self, status: StatusCode) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(status)),
            Self::Any(any) => any.iter().any(|one| one.matches(status)),
            Self::Not(not) => !not.matches(status),
            Self::Status { min, max } => (*min..=*max).contains(&status.as_u16()),
        }
    }
}

/// How many retries a client may add to its requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Retries per request; rounded by the budget to one over a whole number.
    pub retry_ratio: f32,
    /// Retries a second that are free.
    pub min_retries_per_second: u32,
    /// How long a request counts towards the ratio.
    pub ttl: Duration,
}

impl Default for RetryBudget {
    /// Linkerd's own default for a profile that has none.
    fn default() -> Self {
        Self { retry_ratio: 0.2, min_retries_per_second: 10, ttl: Duration::from_secs(10) }
    }
}

/// A share of the requests that goes to another service.
#[derive(Clone, Debug, PartialEq)]
pub struct DstOverride {
    /// The other service's name with its port, such as `web-v2.default.svc.cluster.local:9090`.
    pub authority: String,
    /// Its share relative to the other overrides, in ten-thousandths; 0 takes it out.
    pub weight: u32,
}

impl DstOverride {
    /// An override whose weight is written as a decimal quantity (`0.5`, `2`), as in the profile.
    pub fn new(authority: impl Into<String>, weight: f64) -> Self {
        Self { authority: authority.into(), weight: (weight.max(0.0) * 10_000.0) as u32 }
    }
}
