//! The Services and their ready endpoints: the one table that the network and the proxies follow.
//!
//! One task applies each change of a Service or EndpointSlice to the table of the network and to the watches of the
//! proxies, so that a terminating pod can wait until no Service routes to it.

mod state;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{Api, Change};
use crate::network::{Fabric, ServiceEntry};
use crate::object::ObjectExt;
use crate::task;
use state::State;
pub(crate) use state::{ReadyEndpoint, ReadyEndpoints};

/// The Services of the cluster and their ready endpoints.
pub(crate) struct ServiceTable {
    fabric: Arc<Fabric>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl ServiceTable {
    pub(crate) fn new(fabric: Arc<Fabric>) -> Arc<Self> {
        Arc::new(Self { fabric, state: Mutex::default(), changed: watch::Sender::new(0) })
    }

    /// Follows the API until the set is dropped.
    pub(crate) fn start(self: &Arc<Self>, api: &Api, tasks: &mut JoinSet<()>) {
        let (table, mut services, mut slices) =
            (self.clone(), api.watch::<Service>(), api.watch::<EndpointSlice>());
        task::start(tasks, async move {
            loop {
                tokio::select! {
                    Some(change) = services.next() => table.apply_service(&change),
                    Some(change) = slices.next() => table.apply_slice(&change),
                    else => return,
                }
                table.changed.send_modify(|version| *version += 1);
            }
        });
    }

    /// Waits until no Service routes to a pod.
    pub(crate) async fn wait_until_unrouted(&self, pod: Ipv4Addr) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if !self.state().is_routed(pod) || changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns a Service with its ready endpoints.
    pub(crate) fn entry(&self, namespace: &str, name: &str) -> Option<Arc<ServiceEntry>> {
        self.state().entry(namespace, name)
    }

    /// Watches the ready endpoints of one port of a Service, whether the Service exists or not.
    pub(crate) fn watch_endpoints(
        &self,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> watch::Receiver<ReadyEndpoints> {
        self.state().watch_endpoints(namespace, name, port)
    }

    fn apply_service(&self, change: &Change<Arc<Service>>) {
        let service = change.object();
        let key = (service.namespace().to_owned(), service.name().to_owned());
        let current = match change {
            Change::Applied(service) => Some(service.clone()),
            Change::Deleted(_) => None,
        };
        self.state().set_service(&self.fabric, key, current);
    }

    fn apply_slice(&self, change: &Change<Arc<EndpointSlice>>) {
        let slice = change.object();
        let Some(service) = slice.label("kubernetes.io/service-name") else { return };
        let key = (slice.namespace().to_owned(), service.to_owned());
        let current = match change {
            Change::Applied(slice) => Some(slice.clone()),
            Change::Deleted(_) => None,
        };
        self.state().set_slice(&self.fabric, key, slice.name(), current);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
