//! The profile routes of requests that come in: counted, never retried.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::Request;
use http::header::HOST;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::metrics::{HttpScope, Labels, Metrics};
use crate::outbound::DST_CANONICAL;
use crate::profile::{Profile, Route};
use crate::target::{Destination, Discovery, Target};

/// Names that callers can make up are remembered up to this many.
const MOST: usize = 128;
/// A name that nobody knew is asked for again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// The profiles by the names that requests carry.
pub(super) struct Profiles {
    discovery: Arc<dyn Discovery>,
    metrics: Arc<Metrics>,
    known: Mutex<HashMap<Box<str>, Arc<Known>>>,
}

struct Known {
    told: Option<watch::Receiver<Arc<Target>>>,
    asked: Instant,
    current: Mutex<Option<Current>>,
}

#[derive(Clone)]
struct Current {
    profile: Arc<Profile>,
    routes: Arc<Routes>,
}

struct Routes {
    labels: Labels,
    scopes: Vec<OnceLock<Arc<HttpScope>>>,
}

/// A request's route.
pub(super) struct Routed {
    route: Arc<Route>,
    scope: Arc<HttpScope>,
}

impl Routed {
    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub(super) fn scope(&self) -> &Arc<HttpScope> {
        &self.scope
    }
}

impl Profiles {
    pub(super) fn new(discovery: Arc<dyn Discovery>, metrics: Arc<Metrics>) -> Self {
        Self { discovery, metrics, known: Mutex::default() }
    }

    /// The route of the profile that the request's name has: by `l5d-dst-canonical`, else authority, else `Host`.
    /// There is no default route here: a request that matches none leaves no trace in the route metrics.
    pub(super) async fn route(&self, request: &Request<RequestBody>) -> Option<Routed> {
        let canonical = request.headers().get(&DST_CANONICAL).and_then(|name| name.to_str().ok());
        let authority = request.uri().authority().map(|authority| authority.as_str());
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let name = canonical.or(authority).or(host)?;
        let known = self.known(name).await?;
        let current = known.current(name)?;
        let routes = &current.routes;
        let found = current.profile.find(request.method(), request.uri().path())?;
        let route = current.profile.routes[found].clone();
        let scope = routes.scopes[found].get_or_init(|| {
            let labels = match &route.name {
                Some(name) => routes.labels.with("rt_route", name),
                None => routes.labels.clone(),
            };
            Arc::new(HttpScope::route(&self.metrics, labels))
        });
        Some(Routed { scope: scope.clone(), route })
    }

    async fn known(&self, name: &str) -> Option<Arc<Known>> {
        let found = self.known.lock().expect("profiles lock").get(name).cloned();
        if let Some(known) = found.filter(|known| known.told.is_some() || known.asked.elapsed() < AGAIN) {
            return Some(known);
        }
        let (host, port) = name.rsplit_once(':').unwrap_or((name, "80"));
        let port = port.parse().ok()?;
        if host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
            return None;
        }
        let destination = Destination::Name(host.to_ascii_lowercase(), port);
        let told = self.discovery.discover(&destination).await;
        let known = Arc::new(Known { told, asked: Instant::now(), current: Mutex::default() });
        let mut all = self.known.lock().expect("profiles lock");
        if all.len() >= MOST {
            // Forgetting all is seldom and simple; names in use are back with the next request.
            all.clear();
        }
        all.insert(name.into(), known.clone());
        Some(known)
    }
}

impl Known {
    fn current(&self, name: &str) -> Option<Current> {
        let target = self.told.as_ref()?.borrow().clone();
        let profile = target.profile.as_ref()?;
        let mut current = self.current.lock().expect("profile lock");
        if let Some(current) = current.as_ref().filter(|current| Arc::ptr_eq(&current.profile, profile)) {
            return Some(current.clone());
        }
        let dst = target.authority.as_deref().unwrap_or(name);
        let routes = Routes {
            labels: Labels::new().with("direction", "inbound").with("dst", dst),
            scopes: profile.routes.iter().map(|_| OnceLock::new()).collect(),
        };
        *current = Some(Current { profile: profile.clone(), routes: Arc::new(routes) });
        current.clone()
    }
}
