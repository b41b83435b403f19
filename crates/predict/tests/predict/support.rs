//! Models that several tests use.

use std::time::Duration;

use meshy_predict::model::{Capacity, Distribution, EdgePolicy, Errors, Load, Model, Retry};

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn capacity(workers: usize, queue: usize, service_time: Duration) -> Capacity {
    Capacity { workers, queue, service_time, distribution: Distribution::Fixed, cancel: false }
}

/// A client service and one that it calls, with a policy between them.
pub(crate) fn pair(policy: EdgePolicy, rate: f64, duration: Duration) -> Model {
    let mut model = Model::chain(2, Load::even(rate, duration));
    model.edges[0].policy = policy;
    model
}

/// A chain of four services whose last one fails every attempt, with the same retries on each edge.
pub(crate) fn failing_chain(retry: &Retry, rate: f64, duration: Duration) -> Model {
    let mut model = Model::chain(4, Load::even(rate, duration));
    model.services[3].errors = Errors::Share(1.0);
    for edge in &mut model.edges {
        edge.policy.retry = Some(retry.clone());
    }
    model
}

pub(crate) fn retries(retry: Retry) -> EdgePolicy {
    EdgePolicy { retry: Some(retry), ..EdgePolicy::default() }
}
