//! The load of a step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::At;
use crate::units::{Length, PerSecond};

/// An open-loop load: requests start at their planned times, whatever the responses do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    /// The service that receives the requests, or a URL.
    pub target: At<String>,
    /// Requests per second, of all senders together.
    pub rate: At<PerSecond>,
    /// How long requests are sent.
    pub duration: Length,
    /// How requests reach the target; by default by the topology's rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// Sending pods in the cluster; without it the load comes from this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub senders: Option<At<u32>>,
    /// Whether the sending pods have a proxy; `true` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meshed: Option<bool>,
    /// The largest number of open requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<At<u32>>,
    /// `GET` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path and query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Request headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Where the status of the outcome is: for a service that reports the status of its call in a 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_from: Option<StatusFrom>,
    /// A response after this time does not count as goodput; 2 s unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Length>,
}

/// How requests reach the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Through the ingress, whose proxy is then the client.
    Ingress,
    /// From this machine by a port-forward to the service, without a client's proxy.
    // `direct` is the earlier name, in scenarios and in recorded runs.
    #[serde(alias = "direct")]
    PortForward,
}

/// Where the status that decides about success is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StatusFrom {
    /// In the status line.
    #[default]
    Status,
    /// In the body of the response, as text.
    Body,
}
