//! The services that a destination's requests can go to: its own and those that its routes name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::concrete::Concrete;
use super::context::Context;
use crate::health::HealthSettings;
use crate::target::{Destination, Target};

/// The services of one destination, each discovered once.
pub(super) struct Services {
    context: Arc<Context>,
    discovered: Mutex<HashMap<String, Arc<Concrete>>>,
}

impl Services {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, discovered: Mutex::default() }
    }

    /// Returns the target's own service.
    pub(super) fn own(&self, target: &Target, settings: HealthSettings) -> Arc<Concrete> {
        let name = target.authority.as_deref().unwrap_or_default();
        self.insert(name, target, settings)
    }

    /// Returns a service by `host:port`, or `None` if it is unknown.
    pub(super) async fn named(&self, authority: &str, settings: HealthSettings) -> Option<Arc<Concrete>> {
        if let Some(found) = self.discovered(authority, settings) {
            return Some(found);
        }
        let (host, port) = authority.rsplit_once(':')?;
        let destination = Destination::Name(host.to_owned(), port.parse().ok()?);
        let target = self.context.discovery.discover(&destination).await?;
        let target = target.borrow().clone();
        Some(self.insert(authority, &target, settings))
    }

    /// Whether a service rejects requests at once. One that was not discovered yet does not: a request discovers it.
    pub(super) fn sheds(&self, authority: &str, settings: HealthSettings) -> bool {
        self.discovered(authority, settings).is_some_and(|service| service.sheds())
    }

    fn discovered(&self, authority: &str, settings: HealthSettings) -> Option<Arc<Concrete>> {
        let discovered = self.discovered.lock().expect("services lock");
        discovered.get(authority).filter(|service| service.settings() == settings).cloned()
    }

    fn insert(&self, authority: &str, target: &Target, settings: HealthSettings) -> Arc<Concrete> {
        let mut discovered = self.discovered.lock().expect("services lock");
        match discovered.get(authority) {
            Some(service) if service.settings() == settings && service.reads(&target.endpoints) => {
                service.clone()
            }
            // Other circuit breaking settings start with all breakers closed.
            _ => {
                let (context, name) = (self.context.clone(), target.authority.clone());
                let service = Arc::new(Concrete::new(context, name, target.endpoints.clone(), settings));
                discovered.insert(authority.to_owned(), service.clone());
                service
            }
        }
    }
}
