//! The targets that proxies watch, indexed by Service.

use std::collections::HashMap;
use std::sync::Arc;

use meshy_dataplane::Target;
use tokio::sync::watch;

use super::route_index::ServiceKey;

/// The clients of one namespace that use one port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) namespace: String,
    pub(super) port: u16,
}

#[derive(Default)]
pub(super) struct Targets(HashMap<ServiceKey, HashMap<ClientKey, watch::Sender<Arc<Target>>>>);

impl Targets {
    /// Watches a target; `create` returns its value if it is not watched yet.
    pub(super) fn watch(
        &mut self,
        service: &ServiceKey,
        client: ClientKey,
        create: impl FnOnce(&ClientKey) -> Target,
    ) -> watch::Receiver<Arc<Target>> {
        let targets = self.0.entry(service.clone()).or_default();
        targets.retain(|other, sender| *other == client || !sender.is_closed());
        if let Some(sender) = targets.get(&client) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Arc::new(create(&client)));
        targets.insert(client, sender);
        receiver
    }

    /// Updates the watched targets of one Service; watches are notified only if their target has changed.
    pub(super) fn refresh(&mut self, service: &ServiceKey, update: impl Fn(&ClientKey, &Target) -> Target) {
        let Some(targets) = self.0.get_mut(service) else { return };
        targets.retain(|_, sender| !sender.is_closed());
        for (client, sender) in targets.iter() {
            let new = update(client, &sender.borrow());
            sender.send_if_modified(|old| {
                let changed = has_changed(old, &new);
                if changed {
                    *old = Arc::new(new);
                }
                changed
            });
        }
        if targets.is_empty() {
            self.0.remove(service);
        }
    }
}

/// Whether two targets of the same Service port differ in more than their endpoints, which have their own watch.
fn has_changed(old: &Target, new: &Target) -> bool {
    old.profile != new.profile || old.policy != new.policy || old.opaque != new.opaque
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use meshy_dataplane::Target;
    use meshy_dataplane::policy::{HttpRoute, Policy};
    use tokio::sync::watch;

    use super::{ClientKey, ServiceKey, Targets};

    fn target(routes: &[&str]) -> Target {
        let route = |name: &&str| HttpRoute { name: (*name).to_owned(), ..HttpRoute::default() };
        let policy = Policy { routes: routes.iter().map(route).collect(), ..Policy::default() };
        Target {
            authority: None,
            service: None,
            egress: None,
            profile: None,
            policy: Arc::new(policy),
            endpoints: watch::channel(Arc::from([])).1,
            opaque: false,
        }
    }

    fn service(name: &str) -> ServiceKey {
        ("default".to_owned(), name.to_owned())
    }

    fn client(port: u16) -> ClientKey {
        ClientKey { namespace: "default".to_owned(), port }
    }

    #[test]
    fn a_change_updates_only_the_targets_of_its_service() {
        let mut targets = Targets::default();
        let mut web = targets.watch(&service("web"), client(80), |_| target(&[]));
        let other = targets.watch(&service("other"), client(80), |_| target(&[]));
        let updated = Cell::new(0);
        targets.refresh(&service("web"), |_, _| {
            updated.set(updated.get() + 1);
            target(&["split"])
        });
        assert_eq!(updated.get(), 1, "the target of the other Service is not computed");
        assert!(web.has_changed().expect("a sender") && !other.has_changed().expect("a sender"));
        assert_eq!(web.borrow_and_update().policy.routes[0].name, "split");
    }

    #[test]
    fn an_equal_target_does_not_notify_its_watches() {
        let mut targets = Targets::default();
        let web = targets.watch(&service("web"), client(80), |_| target(&["split"]));
        targets.refresh(&service("web"), |_, _| target(&["split"]));
        assert!(!web.has_changed().expect("a sender"));
    }

    #[test]
    fn targets_without_a_watch_are_removed() {
        let mut targets = Targets::default();
        drop(targets.watch(&service("web"), client(80), |_| target(&[])));
        let kept = targets.watch(&service("web"), client(81), |_| target(&[]));
        assert_eq!(targets.0[&service("web")].len(), 1);
        drop(kept);
        targets.refresh(&service("web"), |_, _| unreachable!("no target is watched"));
        assert!(targets.0.is_empty());
    }
}
