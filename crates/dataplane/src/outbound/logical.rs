//! A destination's routes, rebuilt whenever what is told of it changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::Request;
use tokio::sync::watch;

use super::Context;
use super::concrete::Concrete;
use super::policy_route::PolicyPlan;
use super::profile_route::ProfilePlan;
use crate::body::{Answer, RequestBody};
use crate::error::ProxyError;
use crate::policy::FailureAccrual;
use crate::profile::Profile;
use crate::target::{Destination, Target};
use crate::transport::Transport;

/// One destination.
pub(super) struct Logical {
    context: Arc<Context>,
    /// As Linkerd decides it: whether the profile is followed, for as long as this discovery lives.
    follows_profile: Option<bool>,
    state: Mutex<State>,
    services: Arc<Services>,
}

struct State {
    watch: watch::Receiver<Arc<Target>>,
    target: Arc<Target>,
    plan: Plan,
}

#[derive(Clone)]
enum Plan {
    Profile(Arc<ProfilePlan>),
    Policy(Arc<PolicyPlan>),
}

impl Logical {
    pub(super) fn new(context: Arc<Context>, mut watch: watch::Receiver<Arc<Target>>) -> Self {
        let target = watch.borrow_and_update().clone();
        let follows_profile = context.like_linkerd.then(|| overrides(&target));
        let services = Arc::new(Services::new(context.clone()));
        let plan = plan(&context, &services, &target, follows_profile, None);
        Self { context, follows_profile, state: Mutex::new(State { watch, target, plan }), services }
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.current();
        self.state.lock().expect("target lock").target.opaque
    }

    /// Takes a request to where the destination's routes say.
    pub(super) async fn call(
        &self,
        request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<Answer, ProxyError> {
        match self.current() {
            Plan::Profile(plan) => plan.call(request, grpc).await,
            Plan::Policy(plan) => plan.call(request, grpc).await,
        }
    }

    /// Opens a connection for bytes that pass uninspected.
    pub(super) async fn open(&self) -> Result<Transport, ProxyError> {
        self.current();
        let target = self.state.lock().expect("target lock").target.clone();
        self.services.own(&target, None).open().await
    }

    fn current(&self) -> Plan {
        let mut state = self.state.lock().expect("target lock");
        if state.watch.has_changed().unwrap_or(false) {
            let target = state.watch.borrow_and_update().clone();
            let before = Some((&*state.target, &state.plan));
            state.plan = plan(&self.context, &self.services, &target, self.follows_profile, before);
            state.target = target;
        }
        state.plan.clone()
    }
}

fn overrides(target: &Target) -> bool {
    target.profile.as_ref().is_some_and(|profile| profile.overrides_policy())
}

/// What a target makes of requests. What did not change since `before` goes on, a budget above all.
fn plan(
    context: &Arc<Context>,
    services: &Arc<Services>,
    target: &Arc<Target>,
    follows_profile: Option<bool>,
    before: Option<(&Target, &Plan)>,
) -> Plan {
    let profile =
        target.profile.clone().filter(|profile| follows_profile.is_some() || profile.overrides_policy());
    if follows_profile.unwrap_or(profile.is_some()) {
        let profile = profile.unwrap_or_else(|| Arc::new(Profile::default()));
        if let Some((old, Plan::Profile(plan))) = before
            && same_service(old, target)
            && plan.is_of(&profile)
        {
            return Plan::Profile(plan.clone());
        }
        return Plan::Profile(Arc::new(ProfilePlan::new(context, services, target, profile)));
    }
    if let Some((old, Plan::Policy(plan))) = before
        && same_service(old, target)
        && Arc::ptr_eq(&old.policy, &target.policy)
    {
        return Plan::Policy(plan.clone());
    }
    Plan::Policy(Arc::new(PolicyPlan::new(context, services, target)))
}

fn same_service(a: &Target, b: &Target) -> bool {
    a.authority == b.authority && a.service == b.service && a.endpoints.same_channel(&b.endpoints)
}

/// The services a destination's requests can go to: its own and those its routes name.
pub(super) struct Services {
    context: Arc<Context>,
    known: Mutex<HashMap<String, Arc<Concrete>>>,
}

impl Services {
    fn new(context: Arc<Context>) -> Self {
        Self { context, known: Mutex::default() }
    }

    /// The target's own service.
    pub(super) fn own(&self, target: &Target, accrual: Option<FailureAccrual>) -> Arc<Concrete> {
        let name = target.authority.as_deref().unwrap_or_default();
        self.keep(name, target, accrual)
    }

    /// A service by `host:port`, discovered the first time; `None` while nobody knows it.
    pub(super) async fn named(
        &self,
        authority: &str,
        accrual: Option<FailureAccrual>,
    ) -> Option<Arc<Concrete>> {
        if let Some(known) = self.known(authority, accrual) {
            return Some(known);
        }
        let (host, port) = authority.rsplit_once(':')?;
        let destination = Destination::Name(host.to_owned(), port.parse().ok()?);
        let told = self.context.discovery.discover(&destination).await?;
        let target = told.borrow().clone();
        Some(self.keep(authority, &target, accrual))
    }

    pub(super) fn known(&self, authority: &str, accrual: Option<FailureAccrual>) -> Option<Arc<Concrete>> {
        let known = self.known.lock().expect("services lock");
        known.get(authority).filter(|concrete| concrete.accrual() == accrual).cloned()
    }

    fn keep(&self, authority: &str, target: &Target, accrual: Option<FailureAccrual>) -> Arc<Concrete> {
        let mut known = self.known.lock().expect("services lock");
        match known.get(authority) {
            Some(concrete) if concrete.accrual() == accrual && concrete.reads(&target.endpoints) => {
                concrete.clone()
            }
            // Changed circuit breaking starts with every breaker open.
            _ => {
                let (context, name) = (self.context.clone(), target.authority.clone());
                let concrete = Arc::new(Concrete::new(context, name, target.endpoints.clone(), accrual));
                known.insert(authority.to_owned(), concrete.clone());
                concrete
            }
        }
    }
}
