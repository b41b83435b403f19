//! The policy of a pod's port for inbound connections: who may call, and how often.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::HttpRoute;

/// Returns the policies of a pod's ports.
pub trait InboundPolicies: Send + Sync + 'static {
    /// Watches the policy of a port of the application. If the sender is dropped, the last policy stays.
    fn of_port(&self, port: u16) -> watch::Receiver<Arc<InboundPolicy>>;
}

/// The policy of one port. A request is allowed if one of the authorizations of its route, or one of the port, covers its
/// caller.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundPolicy {
    /// The Server, or the default policy, for the labels.
    pub server: ObjectRef,
    /// Connections are forwarded without protocol detection.
    pub opaque: bool,
    /// In order: the first one that covers a caller appears in the labels.
    pub authorizations: Vec<Authorization>,
    /// The routes that are attached to the Server. A request that none of them matches gets a 404, and probes need a route
    /// as every request does. Without routes every request matches, and probes are always allowed.
    pub routes: Vec<InboundRoute>,
    /// Limits the rate of requests, also those of probes.
    pub rate_limit: Option<RateLimit>,
}

impl Default for InboundPolicy {
    /// Linkerd's default: every caller is allowed.
    fn default() -> Self {
        let server = ObjectRef::default_policy("all-unauthenticated");
        let all = Authorization {
            object: server.clone(),
            networks: Network::all(),
            identities: Identities::Unauthenticated,
        };
        Self { server, opaque: false, authorizations: vec![all], routes: Vec::new(), rate_limit: None }
    }
}

/// A route of a Server.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundRoute {
    /// Which requests match, and the filters for them. Backends, timeouts and retries have no effect.
    pub route: HttpRoute,
    /// Who may call in addition to what the port allows.
    pub authorizations: Vec<Authorization>,
}

/// An object in the labels of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRef {
    /// The API group; empty for a default.
    pub group: String,
    /// The kind as Linkerd writes it: `default`, `server`, `authorizationpolicy`, `HTTPLocalRateLimitPolicy`.
    pub kind: String,
    /// The name.
    pub name: String,
}

impl ObjectRef {
    /// Returns the reference to a default policy, such as `all-unauthenticated`.
    pub fn default_policy(name: &str) -> Self {
        Self { group: String::new(), kind: "default".to_owned(), name: name.to_owned() }
    }
}

/// Allows callers by network and identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The object that allows, for the labels.
    pub object: ObjectRef,
    /// The caller's address is in one of these.
    pub networks: Vec<Network>,
    /// The caller's identity.
    pub identities: Identities,
}

/// Which identities a caller may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identities {
    /// Any or none.
    Unauthenticated,
    /// One that matches at least one entry of each list.
    Authenticated(Vec<Vec<IdentityMatch>>),
}

/// A condition on an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityMatch {
    /// Any identity.
    Any,
    /// This identity.
    Exact(String),
    /// An identity that ends with this text, which begins with a dot.
    Suffix(String),
}

impl IdentityMatch {
    fn matches(&self, identity: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == identity,
            Self::Suffix(suffix) => identity.ends_with(&**suffix),
        }
    }
}

impl Authorization {
    pub(crate) fn covers(&self, address: IpAddr, identity: Option<&str>) -> bool {
        self.networks.iter().any(|network| network.contains(address))
            && match (&self.identities, identity) {
                (Identities::Unauthenticated, _) => true,
                (Identities::Authenticated(_), None) => false,
                (Identities::Authenticated(all), Some(identity)) => {
                    all.iter().all(|list| list.iter().any(|one| one.matches(identity)))
                }
            }
    }
}

/// A network without some of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network.
    pub cidr: Cidr,
    /// Parts that do not belong to it.
    pub except: Vec<Cidr>,
}

impl Network {
    /// Returns the networks that contain every address.
    pub fn all() -> Vec<Self> {
        let any: [IpAddr; 2] = [[0, 0, 0, 0].into(), [0; 16].into()];
        any.map(|address| Self { cidr: Cidr { address, length: 0 }, except: Vec::new() }).into()
    }

    /// Whether an address belongs to the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(address) && !self.except.iter().any(|part| part.contains(address))
    }
}

/// An address and the number of its leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// The number of bits, at most 32 or 128.
    pub length: u8,
}

impl Cidr {
    /// Whether an address has the same leading bits. Addresses of another family do not.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, other, bits) = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u32::from(own).into(), u32::from(other).into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (u128::from(own), u128::from(other), 128),
            _ => return false,
        };
        let differing = own ^ other;
        self.length == 0 || differing.checked_shr(bits - u32::from(self.length)).unwrap_or(differing) == 0
    }
}

/// Limits of requests per second. Each has a bucket of one second's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// The policy, for the labels.
    pub object: ObjectRef,
    /// Of all callers together.
    pub total: Option<u32>,
    /// Of each identity; callers without an identity share one bucket.
    pub identity: Option<u32>,
    /// Of the callers with one of these identities together, in place of `identity`.
    pub overrides: Vec<(Vec<String>, u32)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(address: [u8; 4], length: u8) -> Cidr {
        Cidr { address: address.into(), length }
    }

    #[test]
    fn a_network_compares_the_leading_bits_without_its_exceptions() {
        let network = Network { cidr: cidr([10, 244, 0, 0], 16), except: vec![cidr([10, 244, 7, 0], 24)] };
        let contains = |address: [u8; 4]| network.contains(address.into());
        assert!(contains([10, 244, 255, 1]) && !contains([10, 245, 0, 1]) && !contains([10, 244, 7, 9]));
        assert!(cidr([0, 0, 0, 0], 0).contains([1, 2, 3, 4].into()));
        assert!(cidr([1, 2, 3, 4], 32).contains([1, 2, 3, 4].into()));
        assert!(!cidr([0, 0, 0, 0], 0).contains([0u8; 16].into()), "another family");
    }

    #[test]
    fn an_identity_must_match_every_list() {
        let lists = vec![
            vec![IdentityMatch::Exact("a.ns".into()), IdentityMatch::Suffix(".other".into())],
            vec![IdentityMatch::Any],
        ];
        let authorization = Authorization {
            object: ObjectRef::default(),
            networks: Network::all(),
            identities: Identities::Authenticated(lists),
        };
        let covers = |identity| authorization.covers([10, 0, 0, 1].into(), identity);
        assert!(covers(Some("a.ns")) && covers(Some("b.other")) && !covers(Some("b.ns")) && !covers(None));
    }
}
