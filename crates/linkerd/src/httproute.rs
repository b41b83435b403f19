//! The fields of an HTTPRoute that Linkerd uses. Unknown fields are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names;

/// An HTTPRoute of the group `gateway.networking.k8s.io` or `policy.linkerd.io`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpRoute {
    /// The name, the namespace and the annotations.
    #[serde(default)]
    pub metadata: RouteMetadata,
    /// The parents, the hostnames and the rules.
    #[serde(default)]
    pub spec: RouteSpec,
}

/// The fields of a route's metadata that this crate reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteMetadata {
    /// `metadata.name`; empty where absent.
    #[serde(default)]
    pub name: String,
    /// `metadata.namespace`; absent in manifests that leave it to `kubectl apply`.
    #[serde(default)]
    pub namespace: Option<String>,
    /// All annotations. The retry and timeout annotations apply to every rule of the route.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// The `spec` of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSpec {
    /// The objects that the route is attached to: the Services whose clients follow it.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// The hostnames that the route applies to; empty: all hostnames.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// The rules. The most specific match of all routes applies, not the first one.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A reference to a parent: a Service in a mesh, a Gateway elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParentRef {
    /// The API group: `core` or empty for a Service; `gateway.networking.k8s.io` where absent.
    #[serde(default)]
    pub group: Option<String>,
    /// The kind; `Gateway` where absent.
    #[serde(default)]
    pub kind: Option<String>,
    /// The name of the parent.
    #[serde(default)]
    pub name: String,
    /// The namespace of the parent; the namespace of the route where absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The port that the route applies to; all ports where absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// The section of the parent. Linkerd has none and does not attach such a route to a Server.
    #[serde(rename = "sectionName", default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

impl ParentRef {
    /// Returns whether the parent is a Service: then the mesh, not a gateway, uses the route.
    pub fn is_service(&self) -> bool {
        self.kind.as_deref() == Some("Service") && matches!(self.group.as_deref(), Some("core" | ""))
    }

    /// Returns whether the parent is an EgressNetwork: clients follow the route for addresses outside of the cluster.
    pub fn is_egress_network(&self) -> bool {
        self.kind.as_deref() == Some("EgressNetwork") && self.group.as_deref() == Some(names::POLICY_GROUP)
    }

    /// Returns whether the parent is a Server of the route's namespace: then the pods that it selects follow the route. A
    /// port or a section detaches the route, as in Linkerd.
    pub fn is_server(&self, route_namespace: &str) -> bool {
        let own = self.namespace.as_deref().is_none_or(|namespace| namespace == route_namespace);
        self.kind.as_deref() == Some("Server")
            && self.group.as_deref() == Some(names::POLICY_GROUP)
            && own
            && self.port.is_none()
            && self.section_name.is_none()
    }
}

/// A rule: which requests it matches, how it changes them and where it sends them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The matches, of which one must hold; empty: all requests match.
    #[serde(default)]
    pub matches: Vec<Match>,
    /// The filters, as raw JSON.
    #[serde(default)]
    pub filters: Vec<Value>,
    /// The backends that get the requests; empty: the parent itself.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
    /// The timeouts of the rule. The annotation `timeout.linkerd.io/request` overrides them.
    #[serde(default)]
    pub timeouts: RuleTimeouts,
}

/// The timeouts of a rule, as Gateway API durations (Go durations without fractions).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleTimeouts {
    /// The timeout of a request, all attempts together.
    #[serde(default)]
    pub request: Option<String>,
    /// The timeout of one attempt. Linkerd ignores it.
    #[serde(default)]
    pub backend_request: Option<String>,
}

/// A match. All of its parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The condition on the path, without the query.
    #[serde(default)]
    pub path: Option<ValueMatch>,
    /// The conditions on headers.
    #[serde(default)]
    pub headers: Vec<ValueMatch>,
    /// The conditions on query parameters.
    #[serde(default)]
    pub query_params: Vec<ValueMatch>,
    /// The HTTP method, compared exactly.
    #[serde(default)]
    pub method: Option<String>,
}

/// A comparison of a path, a header or a query parameter with a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValueMatch {
    /// The type of the comparison: `Exact`, `PathPrefix` or `RegularExpression`. Where absent: `PathPrefix` for a path,
    /// `Exact` for a header or query parameter.
    #[serde(rename = "type", default)]
    pub how: Option<String>,
    /// The name of the header or query parameter; absent for a path.
    #[serde(default)]
    pub name: Option<String>,
    /// The value to compare with.
    #[serde(default)]
    pub value: Option<String>,
}

/// A backend and its weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackendRef {
    /// The API group: `core`, empty or absent for a Service.
    #[serde(default)]
    pub group: Option<String>,
    /// The kind; `Service` where absent.
    #[serde(default)]
    pub kind: Option<String>,
    /// The name of the backend.
    #[serde(default)]
    pub name: String,
    /// The namespace of the backend; the namespace of the route where absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The port of the Service.
    #[serde(default)]
    pub port: Option<u16>,
    /// The weight relative to the sum of all weights; 1 where absent. A backend of weight 0 gets no requests.
    #[serde(default)]
    pub weight: Option<u32>,
    /// The filters for requests to this backend, as raw JSON.
    #[serde(default)]
    pub filters: Vec<Value>,
}

impl BackendRef {
    /// Returns whether the backend is a Service.
    pub fn is_service(&self) -> bool {
        matches!(self.kind.as_deref(), None | Some("Service"))
            && matches!(self.group.as_deref(), None | Some("core" | ""))
    }

    /// Returns whether the backend is an EgressNetwork: the destination itself.
    pub fn is_egress_network(&self) -> bool {
        self.kind.as_deref() == Some("EgressNetwork") && self.group.as_deref() == Some(names::POLICY_GROUP)
    }
}

impl HttpRoute {
    /// Parses an HTTPRoute object.
    ///
    /// # Errors
    /// Returns an error if a known field has an unexpected type.
    pub fn from_value(object: &Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(object.clone())
    }

    /// Returns the name and namespace of each Service whose clients follow this route.
    pub fn services(&self) -> impl Iterator<Item = (&str, &str)> {
        let route_namespace = self.metadata.namespace.as_deref().unwrap_or("default");
        self.spec
            .parent_refs
            .iter()
            .filter(|parent| parent.is_service())
            .map(move |parent| (parent.name.as_str(), parent.namespace.as_deref().unwrap_or(route_namespace)))
    }
}
