//! Predictions over the values of one parameter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{EdgePolicy, Model, ModelError};
use crate::predict::{Options, Prediction, predict};

/// What varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Parameter {
    /// The load's requests per second.
    Rate,
    /// The request timeout in seconds of each edge that has one; of each edge if none has.
    Timeout,
    /// The response timeout in seconds of each edge: of one attempt, which is not retried.
    ResponseTimeout,
    /// The retry timeout in seconds of each edge with retries.
    RetryTimeout,
    /// The retry limit of each edge with a limit.
    Limit,
    /// The ratio of each edge with a retry budget.
    Ratio,
    /// The minimum of retries per second of each edge with a retry budget.
    MinPerSecond,
    /// The ttl in seconds of each edge with a retry budget.
    Ttl,
}

/// The prediction for one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Row {
    /// The parameter's value.
    pub value: f64,
    /// What is predicted for it.
    pub prediction: Prediction,
}

/// Predicts the model once for each value of a parameter.
///
/// # Errors
/// When a value makes the model invalid.
pub fn sweep(
    model: &Model,
    parameter: Parameter,
    values: &[f64],
    options: &Options,
) -> Result<Vec<Row>, ModelError> {
    let row = |value: &f64| {
        let prediction = predict(&with(model, parameter, *value)?, options)?;
        Ok(Row { value: *value, prediction })
    };
    values.iter().map(row).collect()
}

/// Returns the model with another value of a parameter.
///
/// # Errors
/// When the value is not a number of 0 or more.
pub fn with(model: &Model, parameter: Parameter, value: f64) -> Result<Model, ModelError> {
    let mut model = model.clone();
    let Ok(time) = Duration::try_from_secs_f64(value) else {
        return Err(ModelError::Value {
            place: "a value of a sweep".to_owned(),
            value: value.to_string(),
            expected: "0 or more",
        });
    };
    if parameter == Parameter::Rate {
        model.load.rate = value;
        return Ok(model);
    }
    let edges = model.edges.iter_mut().map(|edge| &mut edge.policy);
    let policies: Vec<&mut EdgePolicy> = edges.chain([&mut model.entry_policy]).collect();
    let none_has_timeout = policies.iter().all(|policy| policy.timeout.is_none());
    let entry = policies.len() - 1;
    for (index, policy) in policies.into_iter().enumerate() {
        if parameter == Parameter::Timeout {
            if policy.timeout.is_some() || none_has_timeout && index != entry {
                policy.timeout = Some(time);
            }
            continue;
        }
        if parameter == Parameter::ResponseTimeout {
            policy.response_timeout = Some(time).filter(|_| index != entry);
            continue;
        }
        let Some(retry) = &mut policy.retry else { continue };
        match (parameter, &mut retry.limit, &mut retry.budget) {
            (Parameter::RetryTimeout, _, _) => retry.retry_timeout = Some(time),
            (Parameter::Limit, Some(limit), _) => *limit = value.round() as u32,
            (Parameter::Ratio, _, Some(budget)) => budget.ratio = value,
            (Parameter::MinPerSecond, _, Some(budget)) => budget.min_per_second = value.round() as u32,
            (Parameter::Ttl, _, Some(budget)) => budget.ttl = time,
            _ => {}
        }
    }
    Ok(model)
}
