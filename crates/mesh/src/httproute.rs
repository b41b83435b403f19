//! HTTPRoute as far as Linkerd follows it, read leniently: what is not named here is left aside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An HTTPRoute of Gateway API (or of Linkerd's own group, which has the same shape).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpRoute {
    /// Name, namespace, annotations.
    #[serde(default)]
    pub metadata: RouteMetadata,
    /// The rules.
    #[serde(default)]
    pub spec: RouteSpec,
}

/// What is read of a route's metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteMetadata {
    /// The route's name.
    #[serde(default)]
    pub name: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Among them the retry and timeout annotations, which hold for every rule.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// Whose traffic, and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSpec {
    /// The Services whose clients follow this route.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// Hosts; none: any.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// Rules; the best match over all routes wins, not the first.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A parent: for a mesh a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParentRef {
    /// `core` or empty for a Service; Gateway API's own where absent.
    #[serde(default)]
    pub group: Option<String>,
    /// `Service` for a mesh, `Gateway` where absent.
    #[serde(default)]
    pub kind: Option<String>,
    /// The parent's name.
    #[serde(default)]
    pub name: String,
    /// Its namespace; the route's where absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// One port; all where absent.
    #[serde(default)]
    pub port: Option<u16>,
}

impl ParentRef {
    /// Whether the parent is a Service, so that the mesh and not a gateway follows the route.
    pub fn is_service(&self) -> bool {
        self.kind.as_deref() == Some("Service") && matches!(self.group.as_deref(), Some("core" | ""))
    }
}

/// What is matched, what is done, where it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// One of these; none: everything.
    #[serde(default)]
    pub matches: Vec<Match>,
    /// Filters as they stand.
    #[serde(default)]
    pub filters: Vec<Value>,
    /// Where it goes; none: the parent itself.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
    /// Timeouts in the route itself; the annotation wins.
    #[serde(default)]
    pub timeouts: RuleTimeouts,
}

/// Timeouts of a rule, in Gateway API's notation (Go's, without fractions).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleTimeouts {
    /// Over all tries.
    #[serde(default)]
    pub request: Option<String>,
    /// One try; Linkerd does not read it.
    #[serde(default)]
    pub backend_request: Option<String>,
}

/// One match: all of its parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The path.
    #[serde(default)]
    pub path: Option<ValueMatch>,
    /// Headers.
    #[serde(default)]
    pub headers: Vec<ValueMatch>,
    /// Query parameters.
    #[serde(default)]
    pub query_params: Vec<ValueMatch>,
    /// The method.
    #[serde(default)]
    pub method: Option<String>,
}

/// A value compared: `Exact`, `PathPrefix` or `RegularExpression`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValueMatch {
    /// How; absent: `PathPrefix` for a path, `Exact` else.
    #[serde(rename = "type", default)]
    pub how: Option<String>,
    /// The header's or parameter's name.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is compared with.
    #[serde(default)]
    pub value: Option<String>,
}

/// A backend and its share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackendRef {
    /// `core` or empty, as where absent; anything else is no Service.
    #[serde(default)]
    pub group: Option<String>,
    /// `Service`, as where absent.
    #[serde(default)]
    pub kind: Option<String>,
    /// The Service.
    #[serde(default)]
    pub name: String,
    /// Its namespace; the route's where absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its port.
    #[serde(default)]
    pub port: Option<u16>,
    /// Its share in relation to the others'; 1 where absent, 0: nothing.
    #[serde(default)]
    pub weight: Option<u32>,
    /// Filters for its share alone, as they stand.
    #[serde(default)]
    pub filters: Vec<Value>,
}

impl BackendRef {
    /// Whether it names a Service.
    pub fn is_service(&self) -> bool {
        matches!(self.kind.as_deref(), None | Some("Service"))
            && matches!(self.group.as_deref(), None | Some("core" | ""))
    }
}

impl HttpRoute {
    /// Reads an object.
    ///
    /// # Errors
    /// A field that is read here has another type.
    pub fn from_value(object: &Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(object.clone())
    }

    /// The services (name, namespace) whose clients follow this route.
    pub fn services(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.metadata.namespace.as_deref().unwrap_or("default");
        self.spec
            .parent_refs
            .iter()
            .filter(|parent| parent.is_service())
            .map(move |parent| (parent.name.as_str(), parent.namespace.as_deref().unwrap_or(own)))
    }
}
