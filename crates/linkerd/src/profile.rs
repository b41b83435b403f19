//! ServiceProfile: routes by method and path, the definition of a failure, and the retry budget.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

mod budget;
mod validate;

pub use budget::{Budget, BudgetError};

use crate::{duration, names};

/// A ServiceProfile. An unknown field is an error, as in Linkerd's validator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceProfile {
    /// The API version: `linkerd.io/v1alpha2`.
    #[serde(rename = "apiVersion", default)]
    pub api_version: String,
    /// The kind: `ServiceProfile`.
    #[serde(default)]
    pub kind: String,
    /// The name (the full DNS name of the service) and the namespace.
    pub metadata: Metadata,
    /// The routes and the retry budget.
    #[serde(default)]
    pub spec: Spec,
}

/// The fields of an object's metadata that this crate reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; absent in manifests that leave it to `kubectl apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The `spec` of a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The routes. The first route that matches a request applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// The retry budget, shared by all retryable routes of one client's proxy; [`Budget::default`] where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<Budget>,
    /// The backends of a traffic split by weight. HTTPRoutes replace this field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dst_overrides: Vec<WeightedDst>,
    /// The ports without protocol detection. Raw JSON, since the schema and the controller use different notations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque_ports: Option<Value>,
}

/// A route: requests with common metrics, timeout and retries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The value of the metrics label `rt_route`.
    pub name: String,
    /// The condition that a request must match.
    pub condition: RequestMatch,
    /// The classification of responses. Where no class matches, a 5xx status or a `grpc-status` other than 0 is a failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_classes: Vec<ResponseClass>,
    /// Whether failed requests are retried until the retry budget is exhausted.
    #[serde(default)]
    pub is_retryable: bool,
    /// The timeout of a request, all attempts together, as a Go duration; no timeout where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// A condition on a request. All fields that are set must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMatch {
    /// The HTTP method. It is read in upper case, as Linkerd's destination controller does (linkerd2 edge-26.6.3,
    /// `pkg/util/http.go`, `ParseMethod`).
    #[serde(default, deserialize_with = "upper_case", skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A regular expression that must match the whole path, without the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// Conditions that must all hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<RequestMatch>>,
    /// Conditions of which at least one must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<RequestMatch>>,
    /// A condition that must not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<RequestMatch>>,
}

/// A class of responses that count as successes or as failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResponseClass {
    /// The condition that a response must match.
    pub condition: ResponseMatch,
    /// Whether the responses of this class are failures.
    #[serde(default)]
    pub is_failure: bool,
}

/// A condition on the status of a response. All fields that are set must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResponseMatch {
    /// The range that must contain the HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusRange>,
    /// Conditions that must all hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<ResponseMatch>>,
    /// Conditions of which at least one must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<ResponseMatch>>,
    /// A condition that must not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<ResponseMatch>>,
}

/// A range of HTTP statuses, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRange {
    /// The lowest status; 0 where absent.
    #[serde(default)]
    pub min: u32,
    /// The highest status; 0 where absent, which leaves the range empty if `min` is set.
    #[serde(default)]
    pub max: u32,
}

/// A backend of a traffic split by `dstOverrides`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedDst {
    /// The host, with or without a port.
    pub authority: String,
    /// The weight as a Kubernetes quantity: `500m`, `1`, `"0.5"`.
    pub weight: Value,
}

/// A rule of Linkerd's validator that a profile violates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ProfileError {
    /// The field, for example `spec.routes[0].condition`.
    pub place: String,
    /// The problem with the value of the field.
    pub what: String,
}

impl ServiceProfile {
    /// Parses a ServiceProfile object and applies the rules of Linkerd's validator.
    ///
    /// # Errors
    /// Returns the first violated rule, with the field.
    pub fn from_value(object: &Value) -> Result<Self, ProfileError> {
        let profile: Self = serde_json::from_value(object.clone())
            .map_err(|e| ProfileError { place: "object".to_owned(), what: e.to_string() })?;
        match profile.violations().into_iter().next() {
            Some(first) => Err(first),
            None => Ok(profile),
        }
    }

    /// Returns all rules of Linkerd's validator that the profile violates, in the order of the fields.
    pub fn violations(&self) -> Vec<ProfileError> {
        validate::validate(self)
    }

    /// Parses a ServiceProfile object without checking its values. For lint, which reports all problems and not only the
    /// first one.
    ///
    /// # Errors
    /// Returns an error if a field is unknown, missing or of an unexpected type.
    pub fn read_leniently(object: &Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(object.clone())
    }

    /// Returns the name and namespace of the service; `None` if the profile's name is not the full DNS name of a service.
    pub fn service(&self) -> Option<(&str, &str)> {
        names::parse_service_fqdn(&self.metadata.name)
    }

    /// Returns the retry budget that the controller sends to proxies: the default where the profile has none.
    pub fn budget(&self) -> Budget {
        self.spec.retry_budget.clone().unwrap_or_default()
    }

    /// Returns whether the profile overrides the service's annotations, HTTPRoutes and circuit breaker: true if it has a
    /// route or a `dstOverrides` entry.
    pub fn replaces_policy(&self) -> bool {
        !self.spec.routes.is_empty() || !self.spec.dst_overrides.is_empty()
    }

    /// Returns the profile as an object with `apiVersion` and `kind`, ready to apply.
    pub fn to_value(&self) -> Value {
        let mut value = json!(self);
        value["apiVersion"] = json!(names::PROFILE_API_VERSION);
        value["kind"] = json!(names::PROFILE_KIND);
        value
    }
}

impl Route {
    /// Returns the timeout of a request, all attempts together; `None` if it is absent, 0 or invalid (the controller logs
    /// an invalid timeout and ignores it).
    pub fn timeout(&self) -> Option<Duration> {
        duration::go(self.timeout.as_deref()?).ok().filter(|d| !d.is_zero())
    }
}

/// The methods of HTTP that routes can name.
pub(crate) const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Reads a text in upper case.
fn upper_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(|text| text.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Value {
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
    fn a_method_in_lower_case_is_that_in_upper_case() {
        let condition: RequestMatch = serde_json::from_value(json!({"method": "get"})).unwrap();
        assert_eq!(condition.method.as_deref(), Some("GET"));
    }

    #[test]
    fn a_profile_is_unchanged_after_writing_and_parsing_it() {
        let profile = ServiceProfile::from_value(&profile()).unwrap();
        assert_eq!(profile.service(), Some(("bounced-service", "default")));
        assert_eq!(profile.budget().ttl(), Ok(Duration::from_secs(10)));
        assert!(profile.replaces_policy());
        let reparsed = ServiceProfile::from_value(&profile.to_value()).unwrap();
        assert_eq!(reparsed, profile);
    }

    #[test]
    fn the_error_names_an_unknown_field() {
        let mut object = profile();
        object["spec"]["routes"][0]["isRetriable"] = json!(true);
        let error = ServiceProfile::from_value(&object).unwrap_err();
        assert!(error.what.contains("isRetriable"), "{error}");
    }

    #[test]
    fn an_invalid_value_is_rejected_with_its_field() {
        let cases = [
            ("/spec/routes/0/condition", json!({}), "spec.routes[0].condition"),
            ("/spec/routes/0/name", json!(""), "spec.routes[0].name"),
            ("/spec/routes/0/timeout", json!("5"), "spec.routes[0].timeout"),
            ("/spec/retryBudget/ttl", json!("ten"), "spec.retryBudget.ttl"),
            ("/spec/retryBudget/retryRatio", json!(-0.5), "spec.retryBudget.retryRatio"),
            ("/metadata/name", json!("Bounced"), "metadata.name"),
        ];
        for (pointer, value, place) in cases {
            let mut object = profile();
            object["spec"]["routes"][0]["timeout"] = json!("1s");
            *object.pointer_mut(pointer).unwrap() = value;
            assert_eq!(ServiceProfile::from_value(&object).unwrap_err().place, place);
        }
    }

    #[test]
    fn a_profile_without_routes_does_not_replace_other_policies() {
        let mut object = profile();
        object["spec"]["routes"] = json!([]);
        assert!(!ServiceProfile::from_value(&object).unwrap().replaces_policy());
    }
}
