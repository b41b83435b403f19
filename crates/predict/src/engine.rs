//! The discrete-event simulation.
//!
//! ```text
//! load ─→ call ─→ attempt ─→ balancer ─→ job: queue ─→ worker ─→ script ─→ calls of the next services
//!          │         │           │        │                                        │
//!          │         └─ timeouts └─ breaker, fail-fast                              │
//!          └─ timeout, retries, budget        ←──────────── response ──────────────┘
//! ```
//!
//! A *call* is a request as the client counts it, with all its attempts. A *job* is one attempt, first in the client's proxy,
//! then on the way, then at a pod. A job outlives its call if the client disconnects and the service does not cancel.

mod balancer;
mod breaker;
mod call;
mod compile;
mod event;
mod fault;
mod job;
mod latency;
mod limiter;
mod load;
mod record;
mod script;
mod slab;
mod state;

use crate::model::Model;
use crate::outcome::Run;
use crate::random::Random;
use compile::{Node, Policy};
use event::{Event, Queue};
use load::Arrival;
use record::Record;
use slab::Slab;
use state::{Call, Job, Proxy, Replica};

/// Nanoseconds since the start of the simulation.
type Time = u64;

const SECOND: Time = 1_000_000_000;
/// How long the simulation continues after the last request, so that requests in progress end.
const DRAIN: Time = 60 * SECOND;

/// Simulates a model once. The same model and seed result in the same run.
///
/// The model must be valid (`Model::check`).
pub(crate) fn simulate(model: &Model, seed: u64) -> Run {
    let mut engine = Engine::new(model, seed);
    engine.run();
    engine.record.finish(seed)
}

struct Engine<'m> {
    model: &'m Model,
    now: Time,
    queue: Queue,
    nodes: Vec<Node>,
    /// By edge; the last is the entry's.
    policies: Vec<Policy>,
    /// By edge and client, see `Policy::first_proxy`.
    proxies: Vec<Proxy>,
    /// By service and pod.
    replicas: Vec<Vec<Replica>>,
    calls: Slab<Call>,
    jobs: Slab<Job>,
    arrival: Arrival,
    /// For everything between the services: network, backoff, balancers, breakers.
    random: Random,
    record: Record,
}

impl<'m> Engine<'m> {
    fn new(model: &'m Model, seed: u64) -> Self {
        let compiled = compile::compile(model, seed);
        let mut engine = Self {
            now: 0,
            queue: Queue::default(),
            nodes: compiled.nodes,
            policies: compiled.policies,
            proxies: compiled.proxies,
            replicas: compiled.replicas,
            calls: Slab::default(),
            jobs: Slab::default(),
            arrival: Arrival::new(model, Random::new(seed, 0)),
            random: Random::new(seed, 1),
            record: Record::new(model),
            model,
        };
        engine.schedule_faults();
        engine.schedule_arrival();
        engine
    }

    fn run(&mut self) {
        let end = compile::nanos(self.model.load.duration) + DRAIN;
        while let Some((time, event)) = self.queue.pop() {
            if time > end {
                return;
            }
            self.now = time;
            match event {
                Event::Arrival => self.arrive(),
                Event::Fault { index, begins } => self.fault(index, begins),
                Event::Deliver(job) => self.deliver(job),
                Event::Served(job) => self.served(job),
                Event::Slept(job) => self.step_done(job, true, 200),
                Event::CallTimeout(call) => self.call_timeout(call),
                Event::AttemptTimedOut(job) => self.attempt_timed_out(job),
                Event::Backoff(call) => self.backoff_ended(call),
                Event::Available(proxy) => self.admit_waiting(proxy as usize),
                Event::FailFast { proxy, epoch } => self.enter_fail_fast(proxy as usize, epoch),
            }
        }
    }

    fn schedule(&mut self, time: Time, event: Event) {
        self.queue.push(time, event);
    }
}
