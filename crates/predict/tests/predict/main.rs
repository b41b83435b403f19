//! What the simulation must reproduce: exact counts, formulas of queueing theory, the data plane's rules, the storm's classes.

mod counting;
mod faults;
mod queues;
mod repeat;
mod retries;
mod storm;
mod support;
