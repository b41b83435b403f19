//! What is known of a destination, and the trait that tells it.

use std::net::SocketAddr;
use std::sync::Arc;

use meshy_net::BoxFuture;
use tokio::sync::watch;

use crate::policy::{Policy, ServiceRef};
use crate::profile::Profile;

/// What a request or a connection asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The address the application connected to: a service's or a pod's.
    Address(SocketAddr),
    /// A name and a port, as in `l5d-dst-override` or a `Host` header.
    Name(String, u16),
}

/// Tells what stands behind a destination, and every change of it.
pub trait Discovery: Send + Sync + 'static {
    /// A watch on what stands behind the destination, or `None` when nothing is known of it.
    ///
    /// An unknown address is forwarded to as it is; an unknown name given by `l5d-dst-override` fails the request; an
    /// unknown name in an inbound request has no profile. The sender may be dropped: the last value then stays.
    fn discover<'a>(
        &'a self,
        destination: &'a Destination,
    ) -> BoxFuture<'a, Option<watch::Receiver<Arc<Target>>>>;
}

/// What stands behind a destination.
#[derive(Clone, Debug)]
pub struct Target {
    /// Full name and port (`web.default.svc.cluster.local:9090`): the labels `authority` and `dst`. `None` when the
    /// destination is a bare address.
    pub authority: Option<Arc<str>>,
    /// The service in the words of the newer metrics; `None` as above.
    pub service: Option<ServiceRef>,
    /// The service profile this client sees.
    pub profile: Option<Arc<Profile>>,
    /// What annotations and HTTPRoutes say.
    pub policy: Arc<Policy>,
    /// The addresses behind it; the watch outlives changes of the rest.
    pub endpoints: watch::Receiver<Arc<[Endpoint]>>,
    /// Bytes pass uninspected.
    pub opaque: bool,
}

/// One address that answers for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect.
    pub addr: SocketAddr,
    /// The mesh identity its proxy proves; `None` is plain text.
    pub identity: Option<Arc<str>>,
    /// Metric labels in the order they are shown, such as `("dst_pod", "web-1")`; values are escaped here.
    pub labels: Vec<(String, String)>,
}
