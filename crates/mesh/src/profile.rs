//! ServiceProfile: routes by method and path, what counts as a failure, and one retry budget.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

mod budget;
mod validate;

pub use budget::{Budget, BudgetFault};

use crate::{duration, names};

/// A ServiceProfile, read strictly: an unknown field is an error here, as it is for Linkerd's validator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceProfile {
    /// `linkerd.io/v1alpha2`.
    #[serde(rename = "apiVersion", default)]
    pub api_version: String,
    /// `ServiceProfile`.
    #[serde(default)]
    pub kind: String,
    /// Name (the service's full DNS name) and namespace.
    pub metadata: Metadata,
    /// The rules.
    #[serde(default)]
    pub spec: Spec,
}

/// What is read of an object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The object's name.
    pub name: String,
    /// Its namespace; absent in files that leave it to the one who applies them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The rules of a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Tried in this order; the first that matches wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Shared by all retryable routes of one client's proxy; absent means [`Budget::default`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<Budget>,
    /// A traffic split by weight, the older way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dst_overrides: Vec<WeightedDst>,
    /// Ports that the proxy must not look into; their notation differs between schema and programs, so it is kept raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque_ports: Option<Value>,
}

/// Requests that are counted together and retried alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The label `rt_route` in the metrics.
    pub name: String,
    /// Which requests.
    pub condition: RequestMatch,
    /// Which answers are failures; none: 5xx, or what `grpc-status` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_classes: Vec<ResponseClass>,
    /// Whether a failed answer is asked for again while the budget lasts.
    #[serde(default)]
    pub is_retryable: bool,
    /// Over all tries together, in Go's notation; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// A condition on a request. Several fields in one object must all hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMatch {
    /// The method, in capitals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A regular expression for the whole path without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// Each of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<RequestMatch>>,
    /// One of these at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<RequestMatch>>,
    /// Not this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<RequestMatch>>,
}

/// Answers that are a success or a failure by decree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResponseClass {
    /// Which answers.
    pub condition: ResponseMatch,
    /// Whether they are failures.
    #[serde(default)]
    pub is_failure: bool,
}

/// A condition on an answer's status. Several fields in one object must all hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResponseMatch {
    /// A range of statuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusRange>,
    /// Each of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<ResponseMatch>>,
    /// One of these at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<ResponseMatch>>,
    /// Not this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<ResponseMatch>>,
}

/// Statuses from `min` to `max`, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRange {
    /// The lowest; 0 where absent.
    #[serde(default)]
    pub min: u32,
    /// The highest; 0 where absent, and then nothing is in the range but what `min` leaves.
    #[serde(default)]
    pub max: u32,
}

/// One side of a split by `dstOverrides`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedDst {
    /// Host, with or without a port.
    pub authority: String,
    /// A Kubernetes quantity: `500m`, `1`, `"0.5"`.
    pub weight: Value,
}

/// A profile that Linkerd's validator would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ProfileError {
    /// The field, for example `spec.routes[0].condition`.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl ServiceProfile {
    /// Reads an object and holds it to the rules of Linkerd's validator.
    ///
    /// # Errors
    /// The first rule that it breaks, with the field.
    pub fn from_value(object: &Value) -> Result<Self, ProfileError> {
        let profile: Self = serde_json::from_value(object.clone())
            .map_err(|e| ProfileError { place: "object".to_owned(), what: e.to_string() })?;
        validate::validate(&profile)?;
        Ok(profile)
    }

    /// Reads an object whatever its values are; for lint, which has more to say than the first fault.
    ///
    /// # Errors
    /// A field is unknown, missing or of another type.
    pub fn read_leniently(object: &Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(object.clone())
    }

    /// The service and its namespace that the profile's name stands for.
    pub fn service(&self) -> Option<(&str, &str)> {
        names::parse_service_fqdn(&self.metadata.name)
    }

    /// The budget as the controller hands it to proxies: the default where the profile has none.
    pub fn budget(&self) -> Budget {
        self.spec.retry_budget.clone().unwrap_or_default()
    }

    /// Whether the profile takes the place of the service's newer policy (annotations, HTTPRoutes, circuit breaker):
    /// it does as soon as it has a route or an override.
    pub fn replaces_policy(&self) -> bool {
        !self.spec.routes.is_empty() || !self.spec.dst_overrides.is_empty()
    }

    /// The profile as an object to apply.
    pub fn to_value(&self) -> Value {
        let mut value = json!(self);
        value["apiVersion"] = json!(names::PROFILE_API_VERSION);
        value["kind"] = json!(names::PROFILE_KIND);
        value
    }
}

impl Route {
    /// The timeout over all tries; none when absent or not a duration (the controller logs and goes on without).
    pub fn timeout(&self) -> Option<Duration> {
        duration::go(self.timeout.as_deref()?).ok().filter(|d| !d.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> Value {
        json!({
            "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": {"name": "bounced-service.default.svc.cluster.local", "namespace": "default"},
            "spec": {
                "routes": [{"name": "GET /", "condition": {"method": "GET", "pathRegex": "/.*"}, "isRetryable": true}],
                "retryBudget": {"retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s"},
            },
        })
    }

    #[test]
    fn the_seeds_profile_is_read_and_written_back() {
        let profile = ServiceProfile::from_value(&seed()).unwrap();
        assert_eq!(profile.service(), Some(("bounced-service", "default")));
        assert_eq!(profile.budget().ttl(), Ok(Duration::from_secs(10)));
        assert!(profile.replaces_policy());
        let again = ServiceProfile::from_value(&profile.to_value()).unwrap();
        assert_eq!(again, profile);
    }

    #[test]
    fn a_misspelled_field_is_refused_by_name() {
        let mut object = seed();
        object["spec"]["routes"][0]["isRetriable"] = json!(true);
        let error = ServiceProfile::from_value(&object).unwrap_err();
        assert!(error.what.contains("isRetriable"), "{error}");
    }

    #[test]
    fn what_the_validator_refuses_is_refused_with_its_place() {
        let cases = [
            ("/spec/routes/0/condition", json!({}), "spec.routes[0].condition"),
            ("/spec/routes/0/name", json!(""), "spec.routes[0].name"),
            ("/spec/routes/0/timeout", json!("5"), "spec.routes[0].timeout"),
            ("/spec/retryBudget/ttl", json!("ten"), "spec.retryBudget.ttl"),
            ("/spec/retryBudget/retryRatio", json!(-0.5), "spec.retryBudget.retryRatio"),
            ("/metadata/name", json!("Bounced"), "metadata.name"),
        ];
        for (pointer, value, place) in cases {
            let mut object = seed();
            object["spec"]["routes"][0]["timeout"] = json!("1s");
            *object.pointer_mut(pointer).unwrap() = value;
            assert_eq!(ServiceProfile::from_value(&object).unwrap_err().place, place);
        }
    }

    #[test]
    fn a_profile_without_routes_leaves_the_newer_policy_in_force() {
        let mut object = seed();
        object["spec"]["routes"] = json!([]);
        assert!(!ServiceProfile::from_value(&object).unwrap().replaces_policy());
    }
}
