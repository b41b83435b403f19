//! The profile routes of inbound requests: they are counted, never retried.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::Request;
use http::header::HOST;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::headers::DST_CANONICAL;
use crate::metrics::{HttpScope, Labels, Metrics};
use crate::profile::{Profile, Route};
use crate::target::{Destination, Discovery, Target};

/// How many names are cached. Callers choose them, so there is a limit.
const MAX_NAMES: usize = 128;
/// How long an unknown name is cached.
const UNKNOWN_TTL: Duration = Duration::from_secs(5);

/// The profiles by the names in requests.
pub(super) struct Profiles {
    discovery: Arc<dyn Discovery>,
    metrics: Arc<Metrics>,
    cache: Mutex<HashMap<Box<str>, Arc<Entry>>>,
}

struct Entry {
    /// `None` for an unknown name.
    target: Option<watch::Receiver<Arc<Target>>>,
    discovered: Instant,
    current: Mutex<Option<Arc<Current>>>,
}

/// A profile with its series.
struct Current {
    profile: Arc<Profile>,
    labels: Labels,
    scopes: Vec<OnceLock<Arc<HttpScope>>>,
}

/// The route of a request, with its series.
pub(super) struct MatchedRoute {
    pub(super) route: Arc<Route>,
    pub(super) scope: Arc<HttpScope>,
}

impl Profiles {
    pub(super) fn new(discovery: Arc<dyn Discovery>, metrics: Arc<Metrics>) -> Self {
        Self { discovery, metrics, cache: Mutex::default() }
    }

    /// Returns the request's route in the profile of its service, which `l5d-dst-canonical` names, else the authority, else
    /// `Host`. A request that matches no route is not in the route metrics.
    pub(super) async fn route(&self, request: &Request<RequestBody>) -> Option<MatchedRoute> {
        let canonical = request.headers().get(&DST_CANONICAL).and_then(|name| name.to_str().ok());
        let authority = request.uri().authority().map(|authority| authority.as_str());
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let name = canonical.or(authority).or(host)?;
        let current = self.entry(name).await?.current(name)?;
        let found = current.profile.find(request.method(), request.uri().path())?;
        let route = current.profile.routes[found].clone();
        let scope = current.scopes[found].get_or_init(|| {
            let labels = match &route.name {
                Some(name) => current.labels.with("rt_route", name),
                None => current.labels.clone(),
            };
            Arc::new(HttpScope::route(&self.metrics, labels))
        });
        Some(MatchedRoute { scope: scope.clone(), route })
    }

    async fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        let cached = self.cache.lock().expect("profiles lock").get(name).cloned();
        if let Some(entry) =
            cached.filter(|entry| entry.target.is_some() || entry.discovered.elapsed() < UNKNOWN_TTL)
        {
            return Some(entry);
        }
        let (host, port) = name.rsplit_once(':').unwrap_or((name, "80"));
        let port = port.parse().ok()?;
        if host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
            return None;
        }
        let destination = Destination::Name(host.to_ascii_lowercase(), port);
        let target = self.discovery.discover(&destination).await;
        let entry = Arc::new(Entry { target, discovered: Instant::now(), current: Mutex::default() });
        let mut cache = self.cache.lock().expect("profiles lock");
        if cache.len() >= MAX_NAMES {
            // Rare and simple; names in use are cached again with the next request.
            cache.clear();
        }
        cache.insert(name.into(), entry.clone());
        Some(entry)
    }
}

impl Entry {
    fn current(&self, name: &str) -> Option<Arc<Current>> {
        let target = self.target.as_ref()?.borrow().clone();
        let profile = target.profile.as_ref()?;
        let mut cached = self.current.lock().expect("profile lock");
        if let Some(current) = cached.as_ref().filter(|current| Arc::ptr_eq(&current.profile, profile)) {
            return Some(current.clone());
        }
        let dst = target.authority.as_deref().unwrap_or(name);
        let current = Arc::new(Current {
            profile: profile.clone(),
            labels: Labels::new().with("direction", "inbound").with("dst", dst),
            scopes: profile.routes.iter().map(|_| OnceLock::new()).collect(),
        });
        *cached = Some(current.clone());
        Some(current)
    }
}
