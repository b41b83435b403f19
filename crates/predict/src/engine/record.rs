//! Counts what happens, in all and by second.

use super::compile::nanos;
use super::{SECOND, Time};
use crate::model::Model;
use crate::outcome::{EdgeCounts, EdgeRun, Run, Second, ServiceRun};

pub(super) struct Record {
    bound: Time,
    seconds: Vec<Second>,
    edges: Vec<EdgeRun>,
    services: Vec<ServiceRun>,
    latencies: Vec<Time>,
}

impl Record {
    pub(super) fn new(model: &Model) -> Self {
        let seconds = model.load.duration.as_secs_f64().ceil() as usize;
        let edge = || EdgeRun { total: EdgeCounts::default(), seconds: vec![EdgeCounts::default(); seconds] };
        Self {
            bound: nanos(model.goodput_bound),
            seconds: vec![Second::default(); seconds],
            edges: (0..=model.edges.len()).map(|_| edge()).collect(),
            services: vec![ServiceRun::default(); model.services.len()],
            latencies: Vec::new(),
        }
    }

    pub(super) fn offered(&mut self, now: Time) {
        if let Some(second) = self.second(now) {
            second.offered += 1;
        }
    }

    /// The load got the response to a request that it sent at `started`.
    pub(super) fn answered(&mut self, started: Time, now: Time, status: u16) {
        let latency = now - started;
        self.latencies.push(latency);
        let bound = self.bound;
        if let Some(second) = self.second(started)
            && (200..300).contains(&status)
        {
            second.succeeded += 1;
            second.good += u32::from(latency <= bound);
        }
    }

    /// An arrival may be sent just after the load's end; it counts in the last second.
    fn second(&mut self, time: Time) -> Option<&mut Second> {
        let last = self.seconds.len().checked_sub(1)?;
        self.seconds.get_mut(((time / SECOND) as usize).min(last))
    }

    pub(super) fn call_started(&mut self, edge: usize, now: Time) {
        self.edges[edge].count(second(now), |counts| counts.requests += 1);
    }

    pub(super) fn call_ended(&mut self, edge: usize, started: Time, status: u16) {
        if status < 500 {
            self.edges[edge].count(second(started), |counts| counts.requests_succeeded += 1);
        }
    }

    pub(super) fn attempt_started(&mut self, edge: usize, now: Time) {
        self.edges[edge].count(second(now), |counts| counts.attempts += 1);
    }

    pub(super) fn attempt_ended(&mut self, edge: usize, started: Time, status: u16) {
        if status < 500 {
            self.edges[edge].count(second(started), |counts| counts.attempts_succeeded += 1);
        }
    }

    /// A full queue rejected a request.
    pub(super) fn rejected(&mut self, service: usize) {
        self.services[service].rejected += 1;
    }

    /// A job ended, with or without a client.
    pub(super) fn job_ended(&mut self, service: usize, worked: Time, wasted: bool) {
        let (service, worked) = (&mut self.services[service], worked as f64 / SECOND as f64);
        service.finished += 1;
        service.service_seconds += worked;
        if wasted {
            service.wasted += 1;
            service.wasted_seconds += worked;
        }
    }

    pub(super) fn finish(mut self, seed: u64) -> Run {
        self.latencies.sort_unstable();
        let latencies = self.latencies.iter().map(|nanos| *nanos as f64 / SECOND as f64).collect();
        let entry = self.edges.pop().unwrap_or_default();
        Run { seed, seconds: self.seconds, entry, edges: self.edges, services: self.services, latencies }
    }
}

fn second(time: Time) -> usize {
    (time / SECOND) as usize
}
