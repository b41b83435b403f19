//! Reasons why an operand of a condition has no value.

use super::{Metric, Place};

/// Why an operand was not measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotMeasured {
    /// What the value is a share of did not occur.
    #[error("there were no {0}")]
    None(&'static str),
    #[error("no proxy counted attempts")]
    NoAttempts,
    #[error("not all proxies were scraped at the start and at the end of the window")]
    Stale,
    #[error("no source counted attempts")]
    NoSource,
    #[error("the proxies do not report TLS here")]
    NoTls,
    #[error("no source reported outcomes")]
    NoOutcomes,
    #[error("requests that load shedding rejects are counted as `breaker-rejected`")]
    LoadShed,
    #[error("no latency was measured")]
    NoLatency,
    #[error("no proxy counted requests to `{0}`")]
    NoRequestsTo(Place),
    #[error("the run has several steps, write STEP.METRIC")]
    SeveralSteps,
    #[error("step `{0}` did not run")]
    NoStep(String),
    #[error("step `{step}` of variant `{variant}` did not run")]
    NoStepOfVariant { step: String, variant: String },
    /// The window ends after the step, in seconds.
    #[error("the step was measured for {0} s only")]
    TooShort(f64),
    #[error("`{0}` is counted by services, write `{0}@SERVICE`")]
    NoService(Metric),
    #[error("service `{0}` reported no counts")]
    NotReported(String),
    #[error("service `{0}` finished no request")]
    NothingFinished(String),
    #[error("the step has no trigger")]
    NoTrigger,
    /// The seconds after the trigger do not decide the class.
    #[error("{0}")]
    NoClass(String),
    #[error("it is not known here")]
    Unknown,
}
