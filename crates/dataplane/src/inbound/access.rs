//! Whether a caller may send requests to a port, decided once for each caller and version of the policy.

mod caller;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use http::Request;

use super::rate_limit::Limiter;
use crate::error::ProxyError;
use crate::headers::host;
use crate::metrics::Metrics;
use crate::policy::{Authorization, InboundPolicy, InboundRoute, find_rule};
use crate::route_filters::apply_request;
pub(super) use caller::{Caller, RouteScopes};

/// One version of a port's policy with the callers under it.
pub(super) struct Access {
    addr: SocketAddr,
    pub(super) policy: Arc<InboundPolicy>,
    limiter: Option<Arc<Limiter>>,
    callers: Mutex<HashMap<CallerKey, Arc<Caller>>>,
}

/// A caller's identity, and which authorization covers it: of the port, and of each route.
type CallerKey = (Option<Arc<str>>, Option<usize>, Vec<Option<usize>>);

impl Access {
    /// Prepares a version of the policy. Its rate limit continues that of the version before, if both are equal.
    pub(super) fn new(addr: SocketAddr, policy: Arc<InboundPolicy>, before: Option<&Access>) -> Self {
        let limiter = policy.rate_limit.as_ref().map(|limit| {
            let kept = before.and_then(|before| before.limiter.clone());
            kept.filter(|kept| kept.limit() == limit).unwrap_or_else(|| Arc::new(Limiter::new(limit.clone())))
        });
        Self { addr, policy, limiter, callers: Mutex::default() }
    }

    /// Returns the counters of a caller.
    pub(super) fn caller(
        &self,
        metrics: &Arc<Metrics>,
        address: IpAddr,
        identity: Option<&Arc<str>>,
    ) -> Arc<Caller> {
        let covering = |all: &[Authorization]| {
            all.iter().position(|one| one.covers(address, identity.map(|name| &**name)))
        };
        let policy = &*self.policy;
        let of_port = covering(&policy.authorizations);
        let of_routes = policy.routes.iter().map(|route| covering(&route.authorizations)).collect();
        let mut callers = self.callers.lock().expect("callers lock");
        let key: CallerKey = (identity.cloned(), of_port, of_routes);
        if let Some(known) = callers.get(&key) {
            return known.clone();
        }
        let of_port = of_port.map(|found| &policy.authorizations[found].object);
        // The authorizations of a route come before those of its port.
        let of_route = |(route, found): (&InboundRoute, &Option<usize>)| {
            found.map(|found| route.authorizations[found].object.clone()).or_else(|| of_port.cloned())
        };
        let of_routes: Vec<_> = policy.routes.iter().zip(&key.2).map(of_route).collect();
        let caller = Arc::new(Caller::new(metrics, self.addr, policy, of_port, &of_routes, identity));
        callers.insert(key, caller.clone());
        caller
    }

    /// Decides about one request and applies the filters of its route: first the route, then authorization, then the
    /// filters, then the rate limit, which also applies to probes.
    pub(super) fn check<'a, B>(
        &self,
        caller: &'a Caller,
        request: &mut Request<B>,
        probe: bool,
    ) -> Result<&'a RouteScopes, ProxyError> {
        let scopes = if self.policy.routes.is_empty() {
            if probe { Some(caller.probe()) } else { caller.authorized(0) }
        } else {
            self.check_route(caller, request)?
        };
        let scopes = scopes.ok_or(ProxyError::Unauthorized)?;
        if let Some(limiter) = &self.limiter
            && let Err(scope) = limiter.check(caller.identity(), tokio::time::Instant::now())
        {
            caller.limited(scope, &limiter.limit().object);
            return Err(ProxyError::RateLimited);
        }
        Ok(scopes)
    }

    /// Returns the series of a request's route, or `None` if its caller is not allowed.
    fn check_route<'a, B>(
        &self,
        caller: &'a Caller,
        request: &mut Request<B>,
    ) -> Result<Option<&'a RouteScopes>, ProxyError> {
        let routes = self.policy.routes.iter().map(|route| &route.route);
        let Some(found) = find_rule(routes, request, host(request)) else {
            caller.not_found();
            return Err(ProxyError::NoRoute);
        };
        let scopes = caller.authorized(found.route);
        if scopes.is_some() {
            let filters = &self.policy.routes[found.route].route.rules[found.rule].filters;
            apply_request(filters, request, found.prefix).inspect_err(|error| caller.failed(error.kind()))?;
        }
        Ok(scopes)
    }
}
