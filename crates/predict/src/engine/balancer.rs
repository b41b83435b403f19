//! Picks the less loaded of two random endpoints; attempts wait while none is available.
//!
//! As measured on a real Linkerd (second set, part b and z): 100 attempts can wait; 3 s after the service became unavailable
//! those that wait fail with a 504, and later ones with a 503 at once, until a probe is admitted.

use super::breaker::Change;
use super::event::Event;
use super::slab::Key;
use super::state::{Ended, Endpoint, Outcome, Pick, Proxy};
use super::{Engine, SECOND, Time};
use crate::random::Random;

/// How many attempts may wait for an endpoint.
const QUEUE_CAPACITY: usize = 100;
/// How long a service may be without an available endpoint before its requests fail at once.
const FAIL_FAST: Time = 3 * SECOND;

impl Engine<'_> {
    /// Picks an endpoint for a new attempt of a proxy.
    pub(super) fn pick(&mut self, index: usize) -> Pick {
        let proxy = &mut self.proxies[index];
        if let Some((endpoint, probe)) = choose(&mut proxy.endpoints, self.now, &mut self.random) {
            proxy.admitted();
            if !proxy.waiting.is_empty() {
                self.wait_again(index);
            }
            return Pick::Endpoint { endpoint, probe };
        }
        if proxy.fail_fast || proxy.waiting.len() >= QUEUE_CAPACITY {
            return Pick::Reject;
        }
        self.wait_again(index);
        Pick::Wait
    }

    /// Whether a new attempt of a proxy would get an endpoint at once.
    pub(super) fn is_available(&self, index: usize) -> bool {
        self.proxies[index].endpoints.iter().any(|endpoint| endpoint.is_available(self.now))
    }

    /// Starts the time until fail-fast, unless it is running.
    fn wait_again(&mut self, index: usize) {
        let proxy = &mut self.proxies[index];
        if !proxy.unavailable {
            proxy.unavailable = true;
            let event = Event::FailFast { proxy: index as u32, epoch: proxy.epoch };
            self.queue.push(self.now + FAIL_FAST, event);
        }
    }

    /// Sends those waiting attempts that an endpoint is now available for.
    pub(super) fn admit_waiting(&mut self, index: usize) {
        while !self.proxies[index].waiting.is_empty() {
            let proxy = &mut self.proxies[index];
            let Some((endpoint, probe)) = choose(&mut proxy.endpoints, self.now, &mut self.random) else {
                return;
            };
            proxy.admitted();
            let Some(job) = proxy.waiting.pop_front() else { return };
            if !proxy.waiting.is_empty() {
                self.wait_again(index);
            }
            self.dispatch(job, endpoint, probe);
        }
    }

    /// Fails all waiting attempts.
    pub(super) fn enter_fail_fast(&mut self, index: usize, epoch: u32) {
        let proxy = &mut self.proxies[index];
        if !proxy.unavailable || proxy.epoch != epoch {
            return;
        }
        proxy.fail_fast = true;
        for job in std::mem::take(&mut proxy.waiting) {
            if let Some(call) = self.jobs.remove(job).and_then(|job| job.call) {
                self.calls[call].attempt = None;
                self.attempt_ended(call, Outcome::FailFast);
            }
        }
    }

    /// Records at the client's proxy that an attempt ended: with a response that failed or not, or without one.
    pub(super) fn endpoint_ended(&mut self, index: usize, endpoint: usize, attempt: Ended) {
        let Ended { started, probe, failure } = attempt;
        let state = &mut self.proxies[index].endpoints[endpoint];
        state.latency.end(started, self.now);
        let Some(breaker) = &mut state.breaker else { return };
        match failure {
            Some(failure) => match breaker.record(failure, probe, self.now, &mut self.random) {
                Change::None => {}
                Change::Opened(until) => self.queue.push(until, Event::Available(index as u32)),
                Change::Closed => self.admit_waiting(index),
            },
            None if probe => {
                breaker.probe_canceled();
                self.admit_waiting(index);
            }
            None => {}
        }
    }

    /// Removes an attempt that no longer waits.
    pub(super) fn stop_waiting(&mut self, index: usize, job: Key) {
        self.proxies[index].waiting.retain(|waiting| *waiting != job);
    }
}

impl Proxy {
    /// An attempt got an endpoint: the service is available again.
    fn admitted(&mut self) {
        if std::mem::take(&mut self.unavailable) {
            self.epoch = self.epoch.wrapping_add(1);
        }
        self.fail_fast = false;
    }
}

impl Endpoint {
    fn is_available(&self, now: Time) -> bool {
        self.breaker.as_ref().is_none_or(|breaker| breaker.is_available(now))
    }

    fn admit(&mut self, now: Time) -> Option<bool> {
        let probe = match &mut self.breaker {
            Some(breaker) => breaker.admit(now)?,
            None => false,
        };
        self.latency.begin();
        Some(probe)
    }
}

/// Picks two distinct endpoints at random and of them the less loaded, the first if equal. If its breaker rejects the
/// request, repeats this among the available endpoints. Returns the endpoint and whether the attempt probes it.
fn choose(endpoints: &mut [Endpoint], now: Time, random: &mut Random) -> Option<(usize, bool)> {
    if let [only] = endpoints {
        return only.admit(now).map(|probe| (0, probe));
    }
    let drawn = draw(endpoints, endpoints.len(), &|index| index, now, random)?;
    if let Some(probe) = endpoints[drawn].admit(now) {
        return Some((drawn, probe));
    }
    let available: Vec<usize> =
        (0..endpoints.len()).filter(|index| endpoints[*index].is_available(now)).collect();
    let drawn = draw(endpoints, available.len(), &|index| available[index], now, random)?;
    endpoints[drawn].admit(now).map(|probe| (drawn, probe))
}

/// Draws among `count` endpoints, the nth of which is `at(n)`.
fn draw(
    endpoints: &mut [Endpoint],
    count: usize,
    at: &dyn Fn(usize) -> usize,
    now: Time,
    random: &mut Random,
) -> Option<usize> {
    if count < 2 {
        return (count == 1).then(|| at(0));
    }
    let first = random.below(count);
    let second = (first + 1 + random.below(count - 1)) % count;
    let (first, second) = (at(first), at(second));
    let first_load = endpoints[first].latency.load(now);
    Some(if first_load <= endpoints[second].latency.load(now) { first } else { second })
}
