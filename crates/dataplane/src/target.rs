//! Destinations, their targets, and the trait that finds them.

use std::net::SocketAddr;
use std::sync::Arc;

use meshy_net::BoxFuture;
use tokio::sync::watch;

use crate::policy::{Egress, Policy, ServiceRef};
use crate::profile::Profile;

/// Where a request or a connection is to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The address the application connected to: a service's or a pod's.
    Address(SocketAddr),
    /// A host name and a port, as in `l5d-dst-override` or a `Host` header.
    Name(String, u16),
}

/// Finds the target of a destination and reports its changes.
pub trait Discovery: Send + Sync + 'static {
    /// Returns a watch of the destination's target, or `None` if the destination is unknown.
    ///
    /// Connections to an unknown address are forwarded to that address; an unknown name in `l5d-dst-override` fails the
    /// request; an inbound request with an unknown name has no profile. If the sender is dropped, the last value stays.
    fn discover<'a>(
        &'a self,
        destination: &'a Destination,
    ) -> BoxFuture<'a, Option<watch::Receiver<Arc<Target>>>>;
}

/// The service or address behind a destination, as one client uses it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Full name and port (`web.default.svc.cluster.local:9090`): the labels `authority` and `dst`. `None` for an address
    /// that does not belong to a service.
    pub authority: Option<Arc<str>>,
    /// The service, for the labels of the `outbound_*` families; `None` as above.
    pub service: Option<ServiceRef>,
    /// For an address outside of the cluster.
    pub egress: Option<Egress>,
    /// The service profile in force for this client.
    pub profile: Option<Arc<Profile>>,
    /// The policy of annotations and HTTPRoutes.
    pub policy: Arc<Policy>,
    /// The service's endpoints; the same watch for the life of the target's watch.
    pub endpoints: watch::Receiver<Arc<[Endpoint]>>,
    /// Connections are forwarded without protocol detection.
    pub opaque: bool,
}

/// One address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address to connect to.
    pub addr: SocketAddr,
    /// The mesh identity of its proxy; `None` is plain text.
    pub identity: Option<Arc<str>>,
    /// Metric labels in the order of the output, such as `("dst_pod", "web-1")`; values need no escaping.
    pub labels: Vec<(String, String)>,
}
