//! A node of a call graph: the JSON of the variable `NODE`.

use http::Uri;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::distribution::Distribution;

mod check;

/// A service of a topology. Unknown keys are an error.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// The name of the service, which its calls carry as `meshy-caller`.
    pub name: String,
    /// What a request does, in sequence.
    #[serde(default)]
    pub script: Vec<Step>,
    /// Without it, workers are unlimited and there is no service time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// The share of requests that get 500 instead of their script, 0 to 1.
    #[serde(default)]
    pub errors: f64,
    /// The size of the body of a successful response.
    #[serde(default)]
    pub response_bytes: u64,
}

/// A step of a script.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Waits for this many milliseconds.
    SleepMs(f64),
    /// Calls another service.
    Call(Call),
    /// Runs steps at the same time, until all are complete.
    Parallel(Vec<Step>),
}

/// A call to another service.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// The name of the service, in counts and in reasons of failures.
    pub service: String,
    /// `http://HOST:PORT/PATH`.
    #[serde(with = "uri")]
    pub url: Uri,
    /// Whether the request succeeds although this call failed.
    #[serde(default)]
    pub optional: bool,
    /// The probability that the call is made, 0 to 1.
    #[serde(default = "one")]
    pub probability: f64,
    /// The size of the request body: 0 is a `GET`, more a `POST`.
    #[serde(default)]
    pub request_bytes: u64,
}

/// How much work a service does at the same time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capacity {
    /// Requests that are worked on at the same time.
    pub workers: usize,
    /// Requests that wait for a worker at most; further ones get 503 at once.
    #[serde(default)]
    pub queue: usize,
    /// The mean time that a request uses a worker for, in milliseconds, before its script.
    #[serde(default)]
    pub service_time_ms: f64,
    /// The distribution of the service time.
    #[serde(default)]
    pub distribution: Distribution,
    /// Whether work stops when its client disconnects.
    #[serde(default)]
    pub cancel: bool,
}

/// Why a text is not a node.
#[derive(Debug, Error)]
pub(crate) enum NodeError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{key} is `{value}`, expected {expected}")]
    OutOfRange { key: String, value: String, expected: &'static str },
}

impl Node {
    /// Returns the node that a JSON document describes.
    ///
    /// # Errors
    /// Returns an error if the document has an unknown key, lacks one, or has a value that is out of range.
    pub(crate) fn parse(json: &str) -> Result<Self, NodeError> {
        let node: Self = serde_json::from_str(json)?;
        check::node(&node)?;
        Ok(node)
    }

    /// Returns whether work stops when its client disconnects.
    pub(crate) fn cancels(&self) -> bool {
        self.capacity.as_ref().is_some_and(|capacity| capacity.cancel)
    }

    /// Returns the services that the script calls, a service once for each of its calls.
    pub(crate) fn called(&self) -> Vec<&str> {
        fn collect<'a>(steps: &'a [Step], found: &mut Vec<&'a str>) {
            for step in steps {
                match step {
                    Step::SleepMs(_) => {}
                    Step::Call(call) => found.push(&call.service),
                    Step::Parallel(steps) => collect(steps, found),
                }
            }
        }
        let mut found = Vec::new();
        collect(&self.script, &mut found);
        found
    }
}

fn one() -> f64 {
    1.0
}

/// `Uri` as text.
mod uri {
    use http::Uri;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(uri: &Uri, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(uri)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uri, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| D::Error::custom(format_args!("invalid url `{text}`: {error}")))
    }
}
