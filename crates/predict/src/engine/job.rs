//! Jobs: an attempt on its way to a pod, in its queue and at its workers.

use super::event::Event;
use super::slab::Key;
use super::state::{Ended, Job, Place};
use super::{Engine, Time};
use crate::model::{Distribution, Errors};

impl Engine<'_> {
    fn service_of(&self, job: &Job) -> usize {
        self.policies[job.edge as usize].to
    }

    /// Sends an attempt to an endpoint.
    pub(super) fn dispatch(&mut self, key: Key, endpoint: usize, probe: bool) {
        let job = &mut self.jobs[key];
        job.endpoint = endpoint as u32;
        job.probe = probe;
        job.started = self.now;
        job.place = Place::Traveling;
        self.record.attempt_started(job.edge as usize, self.now);
        let hop = self.model.network.hop.as_nanos() as f64;
        let travel = if hop > 0.0 { self.random.exponential(hop) as Time } else { 0 };
        self.schedule(self.now + travel, Event::Deliver(key));
    }

    /// An attempt arrives at its pod: it is refused, rejected, queued or begun.
    pub(super) fn deliver(&mut self, key: Key) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        let (edge, endpoint, refused) = (job.edge as usize, job.endpoint as usize, job.refused);
        let service = self.policies[edge].to;
        let refused_after = super::compile::nanos(self.model.network.refused);
        if refused || self.nodes[service].down > 0 {
            if refused || refused_after == 0 {
                return self.reject(key, 502);
            }
            job.refused = true;
            return self.schedule(self.now + refused_after, Event::Deliver(key));
        }
        if self.nodes[service].has_rate_limit && !self.is_within_limits(service, endpoint, edge) {
            return self.reject(key, 429);
        }
        let Some(capacity) = self.nodes[service].capacity else {
            self.jobs[key].place = Place::Serving;
            return self.served(key);
        };
        let replica = &mut self.replicas[service][endpoint];
        if replica.busy < capacity.workers {
            self.begin_service(key);
        } else if replica.queue.len() < capacity.queue {
            replica.queue.push_back(key);
            self.jobs[key].place = Place::Queued;
        } else {
            self.record.rejected(service);
            self.reject(key, 503);
        }
    }

    fn is_within_limits(&mut self, service: usize, endpoint: usize, edge: usize) -> bool {
        let replica = &mut self.replicas[service][endpoint];
        let identity = replica.identities.get_mut(self.policies[edge].from);
        identity.is_none_or(|bucket| bucket.take(self.now))
            && replica.total.as_mut().is_none_or(|bucket| bucket.take(self.now))
    }

    /// Answers an attempt without any work.
    fn reject(&mut self, key: Key, status: u16) {
        let Some(job) = self.jobs.remove(key) else { return };
        if let Some(call) = job.call {
            self.respond(call, &job, status);
        }
    }

    /// A worker begins a job.
    fn begin_service(&mut self, key: Key) {
        let job = &mut self.jobs[key];
        let service = self.policies[job.edge as usize].to;
        self.replicas[service][job.endpoint as usize].busy += 1;
        let node = &mut self.nodes[service];
        let mean = node.service_nanos * node.slow;
        let time = match node.capacity.map(|capacity| capacity.distribution) {
            Some(Distribution::Exponential) => node.random.exponential(mean),
            Some(Distribution::Uniform) => 2.0 * mean * node.random.unit(),
            Some(Distribution::Fixed) | None => mean,
        } as Time;
        job.place = Place::Serving;
        job.begun = self.now;
        job.service_time = time;
        self.schedule(self.now + time, Event::Served(key));
    }

    /// The service time has passed: the service's errors are decided, then its script begins.
    pub(super) fn served(&mut self, key: Key) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        job.place = Place::Script;
        let (service, endpoint) = (self.policies[job.edge as usize].to, job.endpoint as usize);
        if self.fails(service, endpoint) { self.end_job(key, 500) } else { self.run_group(key) }
    }

    fn fails(&mut self, service: usize, endpoint: usize) -> bool {
        let node = &mut self.nodes[service];
        match node.errors {
            Errors::None => false,
            Errors::Share(share) => node.random.chance(share),
            Errors::Blocks(failing) => {
                let (left, failures) = &mut self.replicas[service][endpoint].block;
                if *left == 0 {
                    (*left, *failures) = (10, failing);
                }
                let fails = node.random.below(usize::from(*left)) < usize::from(*failures);
                *left -= 1;
                *failures -= u8::from(fails);
                fails
            }
        }
    }

    /// A job is finished; its worker takes the next one, and its client gets the response.
    pub(super) fn end_job(&mut self, key: Key, status: u16) {
        let Some(job) = self.jobs.remove(key) else { return };
        let service = self.service_of(&job);
        self.record.job_ended(service, job.service_time, job.call.is_none());
        self.release_worker(service, job.endpoint as usize);
        if let Some(call) = job.call {
            self.respond(call, &job, status);
        }
    }

    fn release_worker(&mut self, service: usize, endpoint: usize) {
        if self.nodes[service].capacity.is_none() {
            return;
        }
        let replica = &mut self.replicas[service][endpoint];
        replica.busy -= 1;
        if let Some(next) = replica.queue.pop_front() {
            self.begin_service(next);
        }
    }

    /// The client of a job disconnects. Work that was begun or queued continues unless the service cancels it.
    pub(super) fn disconnect(&mut self, key: Key) {
        let job = &mut self.jobs[key];
        job.call = None;
        let (proxy, endpoint, place) = (job.proxy as usize, job.endpoint as usize, job.place);
        if place == Place::Waiting {
            self.jobs.remove(key);
            return self.stop_waiting(proxy, key);
        }
        let ended = Ended { started: job.started, probe: job.probe, failure: None };
        let service = self.policies[job.edge as usize].to;
        if place == Place::Traveling {
            self.jobs.remove(key);
        } else if self.nodes[service].capacity.is_some_and(|capacity| capacity.cancel) {
            self.cancel_job(key, service);
        }
        self.endpoint_ended(proxy, endpoint, ended);
    }

    fn cancel_job(&mut self, key: Key, service: usize) {
        let Some(job) = self.jobs.remove(key) else { return };
        let endpoint = job.endpoint as usize;
        if job.place == Place::Queued {
            self.replicas[service][endpoint].queue.retain(|queued| *queued != key);
            return;
        }
        let worked = job.service_time.min(self.now - job.begun);
        self.record.job_ended(service, worked, true);
        self.release_worker(service, endpoint);
        job.children.into_iter().for_each(|call| self.cancel_call(call));
    }
}
