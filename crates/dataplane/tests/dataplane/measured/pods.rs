//! Meshed pods as in the measured rows: each proxy has an identity, each endpoint the labels of its workload.

use std::sync::{Arc, LazyLock};

use meshy_dataplane::{Endpoint, Identity, Proxy};
use tokio::sync::watch;

use super::serve_on;
use crate::mutual_tls::Authority;
use crate::support::{Client, Lab, Memory, Server, endpoint};

/// The identity of each pod that is not a client.
pub(crate) const SERVER: &str = "default.default.serviceaccount.identity.linkerd.cluster.local";
pub(crate) const CLIENT: &str = "client.default.serviceaccount.identity.linkerd.cluster.local";
pub(crate) const CLIENT2: &str = "client2.default.serviceaccount.identity.linkerd.cluster.local";

/// Returns an identity of the cluster's one authority.
pub(crate) fn identity(name: &str) -> watch::Receiver<Identity> {
    static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
    AUTHORITY.identity(name).into_watch()
}

/// Returns the endpoint of a meshed pod.
pub(crate) fn pod(addr: &str) -> Endpoint {
    let labels = [
        ("dst_control_plane_ns", "linkerd"),
        ("dst_deployment", "web"),
        ("dst_namespace", "default"),
        ("dst_pod", addr),
        ("dst_pod_template_hash", "768b44b545"),
        ("dst_service", "web"),
        ("dst_serviceaccount", "default"),
        ("dst_zone", ""),
        ("dst_zone_locality", "unknown"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Endpoint { identity: Some(SERVER.into()), labels, ..endpoint(addr) }
}

/// Starts the proxy of the pod at an address, whose application is on `app`.
pub(crate) fn mesh(lab: &Lab, app: &Memory, addr: &str) -> Proxy {
    let proxy = lab.proxy(app, |config| config.identity = Some(identity(SERVER)));
    lab.mesh(&proxy, addr.parse().unwrap());
    proxy
}

/// Serves in a meshed pod as [`super::serve`] does.
pub(crate) fn serve(
    lab: &Lab,
    addr: &str,
    plan: impl Fn(usize) -> (u64, u16) + Send + Sync + 'static,
) -> Server {
    let app = Memory::default();
    let server = serve_on(&app, addr, plan);
    mesh(lab, &app, addr);
    server
}

/// Returns a client in a meshed pod.
pub(crate) fn client(lab: &Lab) -> Arc<Client> {
    client_of(lab, CLIENT)
}

/// Returns a client with another identity.
pub(crate) fn client_of(lab: &Lab, name: &str) -> Arc<Client> {
    let proxy = lab.proxy(&Memory::default(), |config| config.identity = Some(identity(name)));
    let mut client = Client::new(proxy);
    client.pods = lab.pods.clone();
    Arc::new(client)
}
