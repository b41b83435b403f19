//! Picks the less loaded of two random endpoints, and waits while none is available.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::context::Context;
use super::endpoint::EndpointState;
use crate::error::ProxyError;
use crate::health::InFlight;
use crate::policy::FailureAccrual;
use crate::target::Endpoint;

/// How many requests may wait for an endpoint; Linkerd's default.
const QUEUE_CAPACITY: usize = 10_000;
/// How long a service may be without an available endpoint before its requests fail at once; Linkerd's default.
const FAIL_FAST: Duration = Duration::from_secs(3);

/// The endpoints of one service.
pub(super) struct Balancer {
    context: Arc<Context>,
    authority: Option<Arc<str>>,
    accrual: Option<FailureAccrual>,
    state: Mutex<State>,
    /// Notified when a breaker admits requests again.
    available: Arc<Notify>,
    waiting: AtomicUsize,
}

struct State {
    watch: watch::Receiver<Arc<[Endpoint]>>,
    endpoints: Arc<[Arc<EndpointState>]>,
    /// Since when no endpoint is available.
    unavailable_since: Option<Instant>,
    fail_fast: bool,
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
        accrual: Option<FailureAccrual>,
    ) -> Self {
        watch.mark_changed();
        let state =
            Mutex::new(State { watch, endpoints: Arc::new([]), unavailable_since: None, fail_fast: false });
        let (available, waiting) = Default::default();
        Self { context, authority, accrual, state, available, waiting }
    }

    pub(super) fn accrual(&self) -> Option<FailureAccrual> {
        self.accrual
    }

    /// Whether the endpoints come from this watch.
    pub(super) fn reads(&self, endpoints: &watch::Receiver<Arc<[Endpoint]>>) -> bool {
        self.state.lock().expect("balancer lock").watch.same_channel(endpoints)
    }

    /// Whether a request would get an endpoint without waiting.
    pub(super) fn is_available(&self) -> bool {
        let now = Instant::now();
        self.current().iter().any(|endpoint| endpoint.health.is_available(now))
    }

    /// Picks an endpoint for one attempt. Waits for one as long as the service is not in fail-fast.
    pub(super) async fn pick(&self, now: Instant) -> Result<Picked, ProxyError> {
        if let Some(picked) = self.try_pick(now) {
            return Ok(picked);
        }
        let Some(_slot) = QueueSlot::take(&self.waiting) else {
            tracing::debug!(waiting = QUEUE_CAPACITY, "request rejected, the queue is full");
            return Err(ProxyError::LoadShed);
        };
        loop {
            // Both are registered before the next check, so that no change is missed.
            let available = self.available.notified();
            let mut watch = self.state.lock().expect("balancer lock").watch.clone();
            let now = Instant::now();
            if let Some(picked) = self.try_pick(now) {
                return Ok(picked);
            }
            let deadline = self.fail_fast_at(now);
            if now >= deadline {
                tracing::debug!("request rejected, the service is in fail-fast");
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

    fn try_pick(&self, now: Instant) -> Option<Picked> {
        let mut state = self.refreshed();
        let picked = choose(&state.endpoints, now)?;
        state.unavailable_since = None;
        if std::mem::take(&mut state.fail_fast) {
            tracing::info!(service = self.authority.as_deref(), "service left fail-fast");
        }
        tracing::debug!(endpoint = %picked.endpoint.endpoint.addr, of = state.endpoints.len(), "endpoint chosen");
        Some(picked)
    }

    /// Returns when a service without an available endpoint enters fail-fast.
    fn fail_fast_at(&self, now: Instant) -> Instant {
        let mut state = self.state.lock().expect("balancer lock");
        let deadline = *state.unavailable_since.get_or_insert(now) + FAIL_FAST;
        if now >= deadline && !std::mem::replace(&mut state.fail_fast, true) {
            let (service, endpoints) = (self.authority.as_deref(), state.endpoints.len());
            tracing::info!(service, endpoints, "service entered fail-fast, no endpoint is available");
        }
        deadline
    }

    fn current(&self) -> Arc<[Arc<EndpointState>]> {
        self.refreshed().endpoints.clone()
    }

    /// Locks the state after updating the endpoints from the watch.
    fn refreshed(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().expect("balancer lock");
        let changed = match state.watch.has_changed() {
            Ok(changed) => changed,
            // Without its sender a watch reports no change, not even that of the first value.
            Err(_) => state.endpoints.is_empty() && !state.watch.borrow().is_empty(),
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
                Arc::new(EndpointState::new(&self.context, authority, endpoint, self.accrual, available))
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

/// A slot of the queue of waiting requests.
struct QueueSlot<'a>(&'a AtomicUsize);

impl<'a> QueueSlot<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let slot = Self(waiting);
        (waiting.fetch_add(1, Relaxed) < QUEUE_CAPACITY).then_some(slot)
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
