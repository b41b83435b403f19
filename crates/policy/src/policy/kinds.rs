//! The kinds of objects that change what proxies do with requests.

use std::collections::BTreeMap;

use anyhow::anyhow;
use kube::ResourceExt as _;
use serde_json::Value;

use super::capture::Place;
use super::change::PolicyChange;
use super::evidence::Evidence;
use super::owners::{POLICY_GROUPS, Part, group};
use meshy_base::error::{Advise as _, AdviseError as _, Exit};
use meshy_kube::{Object, manifest};
use meshy_linkerd::names;
use meshy_metrics::routes::Service;

/// A kind of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyKind {
    /// Its name.
    pub kind: &'static str,
    /// The API version that meshy writes; objects of other versions of the group are taken too.
    pub api_version: &'static str,
    /// Short names, as in `sp/cart`.
    pub short: &'static [&'static str],
}

const fn kind(kind: &'static str, api_version: &'static str, short: &'static [&'static str]) -> PolicyKind {
    PolicyKind { kind, api_version, short }
}

/// All kinds. Of a Service only the annotations of [`POLICY_GROUPS`] are a policy.
pub const KINDS: [PolicyKind; 11] = [
    kind("ServiceProfile", names::PROFILE_API_VERSION, &["sp"]),
    kind("HTTPRoute", "gateway.networking.k8s.io/v1", &["route"]),
    kind("GRPCRoute", "gateway.networking.k8s.io/v1", &[]),
    kind("Server", "policy.linkerd.io/v1beta3", &["srv"]),
    kind("AuthorizationPolicy", "policy.linkerd.io/v1alpha1", &["authzpolicy"]),
    kind("ServerAuthorization", "policy.linkerd.io/v1beta1", &["saz"]),
    kind("MeshTLSAuthentication", "policy.linkerd.io/v1alpha1", &["meshtlsauthn"]),
    kind("NetworkAuthentication", "policy.linkerd.io/v1alpha1", &["netauthn"]),
    kind("HTTPLocalRateLimitPolicy", "policy.linkerd.io/v1alpha1", &["ratelimit"]),
    kind("EgressNetwork", "policy.linkerd.io/v1alpha1", &[]),
    kind("Service", "v1", &["svc"]),
];

/// HTTPRoutes have this group too.
const ROUTE_GROUPS: [&str; 2] = [names::GATEWAY_GROUP, "policy.linkerd.io"];

impl PolicyKind {
    /// Finds a kind by its name, its plural or a short name, in any case.
    pub fn find(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        let singular = word.strip_suffix('s').unwrap_or(&word);
        KINDS.into_iter().find(|kind| {
            let name = kind.kind.to_lowercase();
            name == word || name == singular || kind.short.contains(&word.as_str())
        })
    }
}

fn unknown(object: &Object) -> anyhow::Error {
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.kind).collect();
    let error = anyhow!("{} is not a policy", manifest::describe(object));
    error.hint(format!("policies are {}", kinds.join(", "))).exit(Exit::Usage)
}

impl PolicyChange {
    /// An object of one of the [`KINDS`], in `namespace` if it names none.
    ///
    /// # Errors
    /// The object is not a policy, or a Service without policy annotations.
    pub fn of(mut object: Object, namespace: &str) -> anyhow::Result<Self> {
        let place = place(&object, namespace).ok_or_else(|| unknown(&object))?;
        object.metadata.namespace = Some(place.namespace.clone());
        if place.part == Part::Policies {
            let mut annotations: BTreeMap<String, String> = object.annotations().clone();
            annotations.retain(|key, _| POLICY_GROUPS.contains(&group(key)));
            if annotations.is_empty() {
                return Err(anyhow!("{} has no policy annotation", manifest::describe(&object)))
                    .hint(format!("the groups are {}", POLICY_GROUPS.join(", ")))
                    .exit(Exit::Usage);
            }
            return Ok(Self::annotated(place, &annotations, Evidence::Policy(None)));
        }
        let evidence = evidence(&object, &place);
        Ok(Self { place, wanted: Some(object), evidence })
    }

    /// Without an object of one of the [`KINDS`]; of a Service, without the policy annotations that meshy wrote.
    pub fn without(kind: PolicyKind, name: &str, namespace: &str) -> Self {
        let place = Place {
            part: if kind.kind == "Service" { Part::Policies } else { Part::Whole },
            api_version: kind.api_version.to_owned(),
            kind: kind.kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        match kind.kind {
            "Service" => Self::annotated(place, &BTreeMap::new(), Evidence::Policy(None)),
            "ServiceProfile" => Self { place, wanted: None, evidence: Evidence::NoProfile },
            "HTTPRoute" | "GRPCRoute" => Self { place, wanted: None, evidence: Evidence::Policy(None) },
            _ => Self { place, wanted: None, evidence: Evidence::Uncounted(GONE) },
        }
    }

    /// Without this object, which a file names.
    ///
    /// # Errors
    /// The object is not a policy.
    pub fn without_object(object: &Object, namespace: &str) -> anyhow::Result<Self> {
        let place = place(object, namespace).ok_or_else(|| unknown(object))?;
        let kind = PolicyKind::find(&place.kind).ok_or_else(|| unknown(object))?;
        let mut change = Self::without(kind, &place.name, &place.namespace);
        // The version of the file: HTTPRoutes have two groups.
        change.place.api_version = place.api_version;
        Ok(change)
    }

    /// Returns the services whose clients use the policy, as far as the object names them.
    pub fn services(&self) -> Vec<Service> {
        let Place { kind, namespace, name, .. } = &self.place;
        let service =
            |name: &str, namespace: &str| Service { namespace: namespace.to_owned(), name: name.to_owned() };
        match kind.as_str() {
            "Service" => vec![service(name, namespace)],
            "ServiceProfile" => {
                let parsed = names::parse_service_fqdn(name);
                parsed.map(|(name, namespace)| service(name, namespace)).into_iter().collect()
            }
            "HTTPRoute" | "GRPCRoute" => {
                let parents = self.wanted.iter().flat_map(parents);
                parents.map(|(name, own)| service(&name, own.as_deref().unwrap_or(namespace))).collect()
            }
            _ => Vec::new(),
        }
    }
}

const GONE: &str = "requests are counted by what applies instead";

/// Where an object belongs; none if it is not a policy.
fn place(object: &Object, namespace: &str) -> Option<Place> {
    let kind = manifest::kind(object);
    let known = KINDS.into_iter().find(|known| known.kind == kind)?;
    let api_version = object.types.as_ref()?.api_version.clone();
    let group = |version: &str| version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
    let is_route = known.kind == "HTTPRoute" && ROUTE_GROUPS.contains(&group(&api_version).as_str());
    if !is_route && group(&api_version) != group(known.api_version) {
        return None;
    }
    Some(Place {
        part: if kind == "Service" { Part::Policies } else { Part::Whole },
        api_version,
        kind: kind.to_owned(),
        namespace: object.namespace().unwrap_or_else(|| namespace.to_owned()),
        name: object.name_any(),
    })
}

/// The Services among the parents of a route: name, and namespace if it is given.
fn parents(route: &Object) -> Vec<(String, Option<String>)> {
    let parents = route.data["spec"]["parentRefs"].as_array();
    let of_service = parents.into_iter().flatten().filter(|parent| parent["kind"] == "Service");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    of_service.filter_map(|parent| Some((text(&parent["name"])?, text(&parent["namespace"])))).collect()
}

/// What the counters show once an object is used.
fn evidence(object: &Object, place: &Place) -> Evidence {
    let name = place.name.clone();
    match place.kind.as_str() {
        "ServiceProfile" => Evidence::Profile,
        "HTTPRoute" | "GRPCRoute" if !parents(object).is_empty() => Evidence::Policy(Some(name)),
        "HTTPRoute" | "GRPCRoute" => Evidence::Uncounted("a route of a Server has no counter that names it"),
        "Server" => Evidence::Server { label: "srv_name", name },
        "AuthorizationPolicy" | "ServerAuthorization" => Evidence::Server { label: "authz_name", name },
        "HTTPLocalRateLimitPolicy" => {
            Evidence::Uncounted("only rejected requests are counted, with status 429")
        }
        "EgressNetwork" => Evidence::Uncounted("requests to other networks name no service of the cluster"),
        _ => Evidence::Uncounted("an authentication is used by an AuthorizationPolicy, which is counted"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn kinds_are_found_by_name_plural_and_short_name() {
        for (word, kind) in [
            ("sp", "ServiceProfile"),
            ("httproutes", "HTTPRoute"),
            ("Server", "Server"),
            ("networkauthentication", "NetworkAuthentication"),
            ("svc", "Service"),
        ] {
            assert_eq!(PolicyKind::find(word).map(|found| found.kind), Some(kind), "{word}");
        }
        assert_eq!(PolicyKind::find("deployment"), None);
    }

    #[test]
    fn a_policy_of_each_kind_has_a_change_and_other_objects_are_refused() {
        for kind in KINDS {
            let metadata = json!({"name": "a.b.svc.cluster.local",
                "annotations": {"retry.linkerd.io/http": "5xx", "team": "a"}});
            let object = object(
                json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": {}}),
            );
            let change = PolicyChange::of(object.clone(), "b").unwrap();
            assert_eq!(change.place.namespace, "b");
            let gone = PolicyChange::without_object(&object, "b").unwrap();
            assert_eq!(gone.place, change.place, "{}", kind.kind);
        }
        for (version, kind) in [("apps/v1", "Deployment"), ("example.com/v1", "Server")] {
            let object = object(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}));
            let error = PolicyChange::of(object, "b").unwrap_err();
            assert!(error.to_string().ends_with("is not a policy"), "{error}");
        }
    }

    #[test]
    fn a_route_is_evidence_at_its_parent_services() {
        let parents = json!([{"group": "", "kind": "Service", "name": "cart", "namespace": "shop"},
            {"group": "policy.linkerd.io", "kind": "Server", "name": "web"}]);
        let route = object(json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "r"}, "spec": {"parentRefs": parents}}));
        let change = PolicyChange::of(route, "front").unwrap();
        assert_eq!(change.services(), [Service { namespace: "shop".to_owned(), name: "cart".to_owned() }]);
        assert_eq!(change.evidence(), &Evidence::Policy(Some("r".to_owned())));
    }
}
