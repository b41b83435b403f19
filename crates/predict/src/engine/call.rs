//! Calls: attempts, timeouts and retries, as the client's proxy makes them.

use super::breaker::backoff;
use super::event::Event;
use super::slab::Key;
use super::state::{Call, Ended, Job, Outcome, Parent, Pick, Place};
use super::{Engine, Time};

/// The shortest and the longest backoff before a retry, in nanoseconds; up to the same time is added at random. Linkerd's
/// values.
const BACKOFF: (f64, f64) = (25e6, 250e6);

impl Engine<'_> {
    /// Starts a call over an edge by one of its clients.
    pub(super) fn start_call(&mut self, edge: usize, client: usize, parent: Parent) {
        let policy = &self.policies[edge];
        let deadline = policy.timeout.map_or(Time::MAX, |timeout| self.now + timeout);
        let call = self.calls.insert(Call {
            edge: edge as u32,
            proxy: (policy.first_proxy + client) as u32,
            parent,
            started: self.now,
            deadline,
            retries: 0,
            attempt: None,
            status: 0,
        });
        self.record.call_started(edge, self.now);
        if deadline != Time::MAX {
            self.schedule(deadline, Event::CallTimeout(call));
        }
        if let Parent::Job { job, .. } = parent {
            let caller = &mut self.jobs[job];
            if self.nodes[self.policies[caller.edge as usize].to]
                .capacity
                .is_some_and(|capacity| capacity.cancel)
            {
                caller.children.push(call);
            }
        }
        self.start_attempt(call);
    }

    fn start_attempt(&mut self, key: Key) {
        let call = &mut self.calls[key];
        let policy = &self.policies[call.edge as usize];
        let retry = policy.retry.as_ref();
        // No decision follows the last attempt, so it has no timeout that causes a retry.
        let is_last = retry.and_then(|retry| retry.limit).is_some_and(|limit| call.retries >= limit);
        let headers = retry.and_then(|retry| retry.retry_timeout).filter(|_| !is_last);
        let timeout = match (policy.response_timeout, headers) {
            (Some(response), Some(headers)) if response <= headers => Some((response, false)),
            (_, Some(headers)) => Some((headers, true)),
            (Some(response), None) => Some((response, false)),
            (None, None) => None,
        };
        let proxy = call.proxy as usize;
        let job = self.jobs.insert(Job {
            call: Some(key),
            edge: call.edge,
            proxy: call.proxy,
            endpoint: 0,
            probe: false,
            timeout_is_retryable: timeout.is_some_and(|(_, retryable)| retryable),
            refused: false,
            started: self.now,
            place: Place::Waiting,
            begun: 0,
            service_time: 0,
            group: 0,
            pending: 0,
            status: 0,
            children: Vec::new(),
        });
        call.attempt = Some(job);
        if let Some((timeout, _)) = timeout {
            self.schedule(self.now + timeout, Event::AttemptTimedOut(job));
        }
        match self.pick(proxy) {
            Pick::Endpoint { endpoint, probe } => self.dispatch(job, endpoint, probe),
            Pick::Wait => self.proxies[proxy].waiting.push_back(job),
            Pick::Reject => {
                self.jobs.remove(job);
                self.calls[key].attempt = None;
                self.attempt_ended(key, Outcome::LoadShed);
            }
        }
    }

    /// Decides about a retry after an attempt.
    pub(super) fn attempt_ended(&mut self, key: Key, outcome: Outcome) {
        let call = &mut self.calls[key];
        let Some(retry) = &self.policies[call.edge as usize].retry else {
            return self.end_call(key, outcome.status());
        };
        let has_limit = retry.limit.is_some();
        let retryable = match outcome {
            Outcome::Response(status) => retry.statuses.contains(&status),
            Outcome::HeadersTimeout => true,
            // A profile retries only what has a response.
            Outcome::FailFast => has_limit,
            Outcome::ResponseTimeout | Outcome::LoadShed => false,
        };
        let budget = &mut self.proxies[call.proxy as usize].budget;
        if !retryable {
            if let Some(budget) = budget {
                budget.deposit(self.now);
            }
            return self.end_call(key, outcome.status());
        }
        let refused = retry.limit.is_some_and(|limit| call.retries >= limit)
            || budget.as_mut().is_some_and(|budget| !budget.withdraw(self.now));
        if refused {
            return self.end_call(key, outcome.status());
        }
        if !has_limit {
            call.retries += 1;
            return self.start_attempt(key);
        }
        call.status = outcome.status();
        let end = self.now + backoff(BACKOFF.0, BACKOFF.1, 1.0, call.retries, self.random.unit());
        // Otherwise the call waits for its timeout.
        if end < call.deadline {
            self.schedule(end, Event::Backoff(key));
        }
    }

    pub(super) fn backoff_ended(&mut self, key: Key) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (proxy, status) = (call.proxy as usize, call.status);
        call.retries += 1;
        if self.is_available(proxy) { self.start_attempt(key) } else { self.end_call(key, status) }
    }

    /// The time for all attempts has passed.
    pub(super) fn call_timeout(&mut self, key: Key) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Some(job) = call.attempt.take() {
            self.disconnect(job);
        }
        self.end_call(key, 504);
    }

    /// The time for one attempt has passed.
    pub(super) fn attempt_timed_out(&mut self, key: Key) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        let Some(call) = job.call else { return };
        let outcome =
            if job.timeout_is_retryable { Outcome::HeadersTimeout } else { Outcome::ResponseTimeout };
        self.disconnect(key);
        self.calls[call].attempt = None;
        self.attempt_ended(call, outcome);
    }

    fn end_call(&mut self, key: Key, status: u16) {
        let Some(call) = self.calls.remove(key) else { return };
        self.record.call_ended(call.edge as usize, call.started, status);
        match call.parent {
            Parent::Load => self.record.answered(call.started, self.now, status),
            Parent::Job { job, optional } => self.step_done(job, optional, status),
        }
    }

    /// Ends a call whose caller stopped its work.
    pub(super) fn cancel_call(&mut self, key: Key) {
        if let Some(job) = self.calls.remove(key).and_then(|call| call.attempt) {
            self.disconnect(job);
        }
    }

    /// Passes a response to the call that waits for it.
    pub(super) fn respond(&mut self, call: Key, job: &Job, status: u16) {
        let ended = Ended { started: job.started, probe: job.probe, failure: Some(status >= 500) };
        self.endpoint_ended(job.proxy as usize, job.endpoint as usize, ended);
        self.record.attempt_ended(job.edge as usize, job.started, status);
        self.calls[call].attempt = None;
        self.attempt_ended(call, Outcome::Response(status));
    }
}
