//! The less loaded of two random endpoints, and what happens when none is available.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::Context;
use super::endpoint::EndpointState;
use crate::classify::Class;
use crate::error::ProxyError;
use crate::policy::FailureAccrual;
use crate::target::Endpoint;

/// Requests that may wait for an endpoint; one more is turned away.
const QUEUE: usize = 10_000;
/// How long a service may be without an available endpoint before its requests fail at once.
const FAIL_FAST: Duration = Duration::from_secs(3);

/// The endpoints of one service.
pub(super) struct Balancer {
    context: Arc<Context>,
    authority: Option<Arc<str>>,
    accrual: Option<FailureAccrual>,
    known: Mutex<Known>,
    opened: Notify,
    waiting: AtomicUsize,
}

struct Known {
    watch: watch::Receiver<Arc<[Endpoint]>>,
    endpoints: Arc<[Arc<EndpointState>]>,
    /// Since when no endpoint is available.
    blocked: Option<Instant>,
}

impl Balancer {
    pub(super) fn new(
        context: Arc<Context>,
        authority: Option<Arc<str>>,
        mut watch: watch::Receiver<Arc<[Endpoint]>>,
        accrual: Option<FailureAccrual>,
    ) -> Self {
        watch.mark_changed();
        let known = Mutex::new(Known { watch, endpoints: Arc::new([]), blocked: None });
        Self { context, authority, accrual, known, opened: Notify::new(), waiting: AtomicUsize::new(0) }
    }

    pub(super) fn accrual(&self) -> Option<FailureAccrual> {
        self.accrual
    }

    /// Whether the endpoints come from this watch.
    pub(super) fn reads(&self, endpoints: &watch::Receiver<Arc<[Endpoint]>>) -> bool {
        self.known.lock().expect("balancer lock").watch.same_channel(endpoints)
    }

    /// Whether a request would find an endpoint without waiting.
    pub(super) fn is_available(&self) -> bool {
        let now = Instant::now();
        self.current().iter().any(|endpoint| available(endpoint, now))
    }

    /// An endpoint for one try, waiting for one as long as the service is not in fail-fast.
    pub(super) async fn pick(&self, now: Instant) -> Result<InFlight, ProxyError> {
        if let Some(picked) = self.try_pick(now) {
            return Ok(picked);
        }
        let _place = Place::take(&self.waiting).ok_or(ProxyError::LoadShed)?;
        loop {
            // Both are asked for before looking again, so that no change is missed.
            let opened = self.opened.notified();
            let mut watch = self.known.lock().expect("balancer lock").watch.clone();
            let now = Instant::now();
            if let Some(picked) = self.try_pick(now) {
                return Ok(picked);
            }
            let since = *self.known.lock().expect("balancer lock").blocked.get_or_insert(now);
            let deadline = since + FAIL_FAST;
            if now >= deadline {
                return Err(ProxyError::FailFast);
            }
            let probe = self.current().iter().filter_map(|one| one.breaker.as_ref()?.opens_at()).min();
            tokio::select! {
                () = opened => {}
                Ok(()) = watch.changed() => {}
                () = sleep_until(probe.unwrap_or(deadline).min(deadline)) => {}
            }
        }
    }

    fn try_pick(&self, now: Instant) -> Option<InFlight> {
        let mut known = self.refreshed();
        let picked = choose(&known.endpoints, now)?;
        known.blocked = None;
        Some(picked)
    }

    fn current(&self) -> Arc<[Arc<EndpointState>]> {
        self.refreshed().endpoints.clone()
    }

    /// The lock, with the endpoints that are told at the moment.
    fn refreshed(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().expect("balancer lock");
        if known.watch.has_changed().unwrap_or(false) || (known.endpoints.is_empty() && self.is_stale(&known))
        {
            self.update(&mut known);
        }
        known
    }

    /// A watch whose sender is gone says it did not change even before its only value was read.
    fn is_stale(&self, known: &Known) -> bool {
        known.watch.has_changed().is_err() && !known.watch.borrow().is_empty()
    }

    fn update(&self, known: &mut Known) {
        let told = known.watch.borrow_and_update().clone();
        let endpoints = told.iter().map(|endpoint| {
            // An endpoint that stays keeps its connections, its load and its breaker.
            let same = known.endpoints.iter().find(|state| state.endpoint == *endpoint).cloned();
            same.unwrap_or_else(|| {
                let authority = self.authority.as_deref();
                Arc::new(EndpointState::new(&self.context, authority, endpoint.clone(), self.accrual))
            })
        });
        known.endpoints = endpoints.collect();
    }

    /// Passes on that a breaker opened.
    fn on_opened(&self) {
        self.opened.notify_waiters();
    }

    /// Tells a request's end to the breaker of its endpoint, and waiting requests if that opened it.
    pub(super) fn attach(self: &Arc<Self>, picked: &mut InFlight) {
        if self.accrual.is_some() {
            picked.balancer = Some(self.clone());
        }
    }
}

fn available(endpoint: &EndpointState, now: Instant) -> bool {
    endpoint.breaker.as_ref().is_none_or(|breaker| breaker.is_available(now))
}

/// Two distinct endpoints at random and the less loaded of them, the first when equal. When the chosen one cannot take
/// the request, the draw is repeated among those that can.
fn choose(endpoints: &[Arc<EndpointState>], now: Instant) -> Option<InFlight> {
    match endpoints {
        [] => None,
        [one] => InFlight::begin(one, now),
        _ => {
            let all = |place: usize| &endpoints[place];
            let first = draw(endpoints.len(), all, now)?;
            InFlight::begin(first, now).or_else(|| {
                let open: Vec<_> = endpoints.iter().filter(|one| available(one, now)).collect();
                match open.len() {
                    0 => None,
                    1 => InFlight::begin(open[0], now),
                    n => InFlight::begin(draw(n, |place| open[place], now)?, now),
                }
            })
        }
    }
}

fn draw<'a>(
    n: usize,
    at: impl Fn(usize) -> &'a Arc<EndpointState>,
    now: Instant,
) -> Option<&'a Arc<EndpointState>> {
    let a = rand::random_range(0..n);
    let b = (a + rand::random_range(1..n)) % n;
    let (a, b) = (at(a), at(b));
    Some(if a.load.current(now) <= b.load.current(now) { a } else { b })
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Relaxed) < QUEUE).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A try under way at an endpoint, until its first data; and for the breaker until its end.
pub(crate) struct InFlight {
    endpoint: Arc<EndpointState>,
    balancer: Option<Arc<Balancer>>,
    began: Instant,
    answered: bool,
    probe: bool,
    judged: bool,
}

impl InFlight {
    fn begin(endpoint: &Arc<EndpointState>, now: Instant) -> Option<Self> {
        let probe = match &endpoint.breaker {
            Some(breaker) => breaker.admit(now)?,
            None => false,
        };
        endpoint.load.begin();
        Some(Self {
            endpoint: endpoint.clone(),
            balancer: None,
            began: now,
            answered: false,
            probe,
            judged: false,
        })
    }

    pub(super) fn endpoint(&self) -> &Arc<EndpointState> {
        &self.endpoint
    }

    /// When the endpoint was picked.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn answered(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.answered, true) {
            self.endpoint.load.end(self.began, now);
        }
    }

    pub(crate) fn ended(mut self, class: Class) {
        self.judged = true;
        if let Some(breaker) = &self.endpoint.breaker
            && breaker.ended(class.is_failure(), self.probe, Instant::now())
            && let Some(balancer) = &self.balancer
        {
            balancer.on_opened();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.answered {
            self.answered(Instant::now());
        }
        if self.probe
            && !self.judged
            && let Some(breaker) = &self.endpoint.breaker
        {
            breaker.abandoned();
            if let Some(balancer) = &self.balancer {
                balancer.on_opened();
            }
        }
    }
}
