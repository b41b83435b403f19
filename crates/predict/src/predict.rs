//! Predictions with intervals: the same model, many seeds.

mod result;
mod summary;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use result::{Classes, PredictedEdge, PredictedLatency, PredictedSecond, PredictedService, Prediction};

use crate::engine;
use crate::model::{Model, ModelError};
use crate::outcome::Run;
use crate::recovery::{Observation, ReliefPhases};

/// How a prediction is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The random seed of the first run; each further run has the next number.
    pub seed: u64,
    /// The number of runs.
    pub runs: usize,
    /// The number of threads; `None` for as many as the machine has processors.
    pub threads: Option<NonZeroUsize>,
    /// How the runs are classified; `None` if they are not.
    pub observation: Option<Observation>,
    /// Where the relief phases of metastable runs are; `None` without such phases.
    pub relief: Option<ReliefPhases>,
}

impl Default for Options {
    /// Ten runs from seed 1, without classes.
    fn default() -> Self {
        Self { seed: 1, runs: 10, threads: None, observation: None, relief: None }
    }
}

/// Predicts what a model does. The same model and options, whatever the number of threads, result in the same numbers.
///
/// # Errors
/// When the model is invalid.
pub fn predict(model: &Model, options: &Options) -> Result<Prediction, ModelError> {
    Ok(summary::summarize(model, options, &simulate_all(model, options)?))
}

/// Simulates a model once for each seed, on several threads. Returns the runs in the order of their seeds.
///
/// # Errors
/// When the model is invalid.
pub(crate) fn simulate_all(model: &Model, options: &Options) -> Result<Vec<Run>, ModelError> {
    model.check()?;
    let threads =
        options.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut runs = Vec::new();
        loop {
            let index = next.fetch_add(1, Relaxed);
            if index >= options.runs {
                return runs;
            }
            runs.push(engine::simulate(model, options.seed.wrapping_add(index as u64)));
        }
    };
    let mut runs: Vec<Run> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(options.runs)).map(|_| scope.spawn(work)).collect();
        let mut runs = work();
        for other in others {
            match other.join() {
                Ok(other) => runs.extend(other),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        runs
    });
    runs.sort_by_key(|run| run.seed.wrapping_sub(options.seed));
    Ok(runs)
}
