//! Picks the less loaded of two random endpoints, and waits while none is available.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Mutex as FairMutex, Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::context::Context;
use super::endpoint::EndpointState;
use crate::error::ProxyError;
use crate::health::{HealthSettings, InFlight};
use crate::target::Endpoint;

/// How long the first request of the queue waits for an endpoint before the whole queue fails; Linkerd's default.
const FAIL_FAST: Duration = Duration::from_secs(3);

/// The endpoints of one service.
pub(super) struct Balancer {
    context: Arc<Context>,
    authority: Option<Arc<str>>,
    settings: HealthSettings,
    state: Mutex<State>,
    /// Notified when a breaker admits requests again.
    available: Arc<Notify>,
    /// The requests that wait. Linkerd's queue holds 100 and more requests wait to enter it, which no caller can observe.
    waiting: AtomicUsize,
    /// Held by the first request of the queue, the only one that an endpoint is picked for.
    first: FairMutex<()>,
    /// Notified when the whole queue fails.
    failed: Notify,
    /// Since the queue failed, no request waits until an endpoint is available.
    fail_fast: AtomicBool,
}

struct State {
    watch: watch::Receiver<Arc<[Endpoint]>>,
    endpoints: Arc<[Arc<EndpointState>]>,
}

/// The endpoint of one attempt.
pub(super) struct Picked {
    pub(super) endpoint: Arc<EndpointState>,
    pub(super) in_flight: InFlight,
}

impl Balancer {
    pub(super) fn new(
        context: Arc<Context>,
        authority: Option<Arc<str>>,
        mut watch: watch::Receiver<Arc<[Endpoint]>>,
        settings: HealthSettings,
    ) -> Self {
        watch.mark_changed();
        let state = Mutex::new(State { watch, endpoints: Arc::new([]) });
        let (available, waiting, first, failed, fail_fast) = Default::default();
        Self { context, authority, settings, state, available, waiting, first, failed, fail_fast }
    }

    pub(super) fn settings(&self) -> HealthSettings {
        self.settings
    }

    /// Whether the endpoints come from this watch.
    pub(super) fn reads(&self, endpoints: &watch::Receiver<Arc<[Endpoint]>>) -> bool {
        self.state.lock().expect("balancer lock").watch.same_channel(endpoints)
    }

    /// Whether requests are rejected at once: the service is in fail-fast and no endpoint is available.
    pub(super) fn sheds(&self, now: Instant) -> bool {
        // Read for every attempt, so without the lock as long as the service is available.
        self.fail_fast.load(Relaxed)
            && !self.refreshed().endpoints.iter().any(|endpoint| endpoint.health.is_available(now))
    }

    /// Picks an endpoint for one attempt, or waits for one in a queue. The time limit is that of the queue's first request:
    /// when it expires, all requests of the queue fail, and from then on new ones are rejected at once.
    pub(super) async fn pick(&self, now: Instant) -> Result<Picked, ProxyError> {
        if self.waiting.load(Relaxed) == 0
            && let Some(picked) = self.try_pick(now)
        {
            return Ok(picked);
        }
        if self.sheds(now) {
            tracing::debug!("request rejected, the service is in fail-fast");
            return Err(ProxyError::LoadShed);
        }
        let _waiting = Waiting::enter(&self.waiting);
        let failed = self.failed.notified();
        tokio::select! {
            biased;
            () = failed => Err(ProxyError::FailFast),
            first = self.first.lock() => {
                let result = self.pick_as_first().await;
                drop(first);
                result
            }
        }
    }

    async fn pick_as_first(&self) -> Result<Picked, ProxyError> {
        let deadline = Instant::now() + FAIL_FAST;
        loop {
            // Both are registered before the next check, so that no change is missed.
            let available = self.available.notified();
            let mut watch = self.state.lock().expect("balancer lock").watch.clone();
            let now = Instant::now();
            if let Some(picked) = self.try_pick(now) {
                return Ok(picked);
            }
            if now >= deadline || self.sheds(now) {
                self.fail();
                return Err(ProxyError::FailFast);
            }
            tracing::debug!("waiting for an available endpoint");
            let probe = self.current().iter().filter_map(|endpoint| endpoint.health.next_probe()).min();
            tokio::select! {
                () = available => {}
                Ok(()) = watch.changed() => {}
                () = sleep_until(probe.unwrap_or(deadline).min(deadline)) => {}
            }
        }
    }

    /// Fails all requests of the queue.
    fn fail(&self) {
        if !self.fail_fast.swap(true, Relaxed) {
            let (service, endpoints) = (self.authority.as_deref(), self.current().len());
            tracing::info!(service, endpoints, "service entered fail-fast, no endpoint is available");
        }
        self.failed.notify_waiters();
    }

    fn try_pick(&self, now: Instant) -> Option<Picked> {
        let state = self.refreshed();
        let picked = choose(&state.endpoints, now)?;
        if self.fail_fast.load(Relaxed) && self.fail_fast.swap(false, Relaxed) {
            tracing::info!(service = self.authority.as_deref(), "service left fail-fast");
        }
        tracing::debug!(endpoint = %picked.endpoint.endpoint.addr, of = state.endpoints.len(), "endpoint chosen");
        Some(picked)
    }

    fn current(&self) -> Arc<[Arc<EndpointState>]> {
        self.refreshed().endpoints.clone()
    }

    /// Locks the state after updating the endpoints from the watch.
    fn refreshed(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().expect("balancer lock");
        let changed = match state.watch.has_changed() {
            Ok(changed) => changed,
            // Without its sender a watch reports no change, not even that of the first value; reading marks it as seen.
            Err(_) => {
                let empty = state.watch.borrow_and_update().is_empty();
                state.endpoints.is_empty() && !empty
            }
        };
        if changed {
            self.update(&mut state);
        }
        state
    }

    fn update(&self, state: &mut State) {
        let current = state.watch.borrow_and_update().clone();
        let endpoints = current.iter().map(|endpoint| {
            // An endpoint that stays keeps its connections, its load and its breaker.
            let same = state.endpoints.iter().find(|old| old.endpoint == *endpoint).cloned();
            same.unwrap_or_else(|| {
                let (authority, available) = (self.authority.as_deref(), self.available.clone());
                let endpoint = endpoint.clone();
                Arc::new(EndpointState::new(&self.context, authority, endpoint, self.settings, available))
            })
        });
        state.endpoints = endpoints.collect();
    }
}

/// Picks two distinct endpoints at random and of them the less loaded, the first if equal. If its breaker rejects the
/// request, repeats this among the available endpoints.
fn choose(endpoints: &[Arc<EndpointState>], now: Instant) -> Option<Picked> {
    match endpoints {
        [] => None,
        [only] => admit(only, now),
        _ => {
            let all = |index: usize| &endpoints[index];
            admit(draw(endpoints.len(), all, now), now).or_else(|| {
                let available: Vec<_> =
                    endpoints.iter().filter(|endpoint| endpoint.health.is_available(now)).collect();
                match available[..] {
                    [] => None,
                    [only] => admit(only, now),
                    _ => admit(draw(available.len(), |index| available[index], now), now),
                }
            })
        }
    }
}

fn admit(endpoint: &Arc<EndpointState>, now: Instant) -> Option<Picked> {
    let in_flight = endpoint.health.admit(now)?;
    Some(Picked { endpoint: endpoint.clone(), in_flight })
}

fn draw<'a>(n: usize, at: impl Fn(usize) -> &'a Arc<EndpointState>, now: Instant) -> &'a Arc<EndpointState> {
    let a = rand::random_range(0..n);
    let b = (a + rand::random_range(1..n)) % n;
    let (a, b) = (at(a), at(b));
    if a.health.load(now) <= b.health.load(now) { a } else { b }
}

/// A request in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
