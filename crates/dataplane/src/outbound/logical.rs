//! A destination with its routes, which are rebuilt when its target changes.

use std::sync::{Arc, Mutex};

use http::Request;
use tokio::sync::watch;

use super::context::Context;
use super::failure::Failure;
use super::policy_route::PolicyPlan;
use super::profile_route::ProfilePlan;
use super::services::Services;
use crate::body::{BoxResponse, RequestBody};
use crate::error::ProxyError;
use crate::health::HealthSettings;
use crate::profile::Profile;
use crate::target::{Destination, Target};
use crate::transport::Transport;

/// A destination with its routes.
pub(super) struct Logical {
    context: Arc<Context>,
    /// The destination's address or name, for error texts.
    name: Arc<str>,
    /// Linkerd's rule: whether the profile is followed is decided when the destination is discovered. `None` without
    /// [`Context::linkerd_discovery_cache`].
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
    pub(super) fn new(
        context: Arc<Context>,
        destination: &Destination,
        mut watch: watch::Receiver<Arc<Target>>,
    ) -> Self {
        let name: Arc<str> = match destination {
            Destination::Address(addr) => addr.to_string().into(),
            Destination::Name(host, port) => format!("{host}:{port}").into(),
        };
        let target = watch.borrow_and_update().clone();
        let follows_profile = context.linkerd_discovery_cache.then(|| has_overriding_profile(&target));
        let services = Arc::new(Services::new(context.clone()));
        let plan = plan(&context, &name, &services, &target, follows_profile, None);
        Self { context, name, follows_profile, state: Mutex::new(State { watch, target, plan }), services }
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.current().1.opaque
    }

    /// Sends a request by the destination's routes.
    pub(super) async fn call(
        &self,
        request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<BoxResponse, Failure> {
        match self.current().0 {
            Plan::Profile(plan) => plan.call(request, grpc).await,
            Plan::Policy(plan) => plan.call(request, grpc).await,
        }
    }

    /// Opens a connection for bytes that are not HTTP.
    pub(super) async fn open(&self) -> Result<Transport, ProxyError> {
        let (_, target) = self.current();
        self.services.own(&target, HealthSettings::default()).open().await
    }

    fn current(&self) -> (Plan, Arc<Target>) {
        let mut state = self.state.lock().expect("target lock");
        if state.watch.has_changed().unwrap_or(false) {
            let target = state.watch.borrow_and_update().clone();
            let before = Some((&*state.target, &state.plan));
            state.plan =
                plan(&self.context, &self.name, &self.services, &target, self.follows_profile, before);
            state.target = target;
        }
        (state.plan.clone(), state.target.clone())
    }
}

fn has_overriding_profile(target: &Target) -> bool {
    target.profile.as_ref().is_some_and(|profile| profile.overrides_policy())
}

/// Builds the plan of a target. A plan whose profile or policy did not change is kept, above all for its retry budget.
fn plan(
    context: &Arc<Context>,
    name: &Arc<str>,
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
            && is_same_service(old, target)
            && plan.is_of(&profile)
        {
            return Plan::Profile(plan.clone());
        }
        tracing::debug!(
            service = target.authority.as_deref(),
            routes = profile.routes.len(),
            "profile applied"
        );
        return Plan::Profile(Arc::new(ProfilePlan::new(context, services, target, profile)));
    }
    if let Some((old, Plan::Policy(plan))) = before
        && is_same_service(old, target)
        && Arc::ptr_eq(&old.policy, &target.policy)
    {
        return Plan::Policy(plan.clone());
    }
    tracing::debug!(
        service = target.authority.as_deref(),
        routes = target.policy.routes.len(),
        "policy applied"
    );
    Plan::Policy(Arc::new(PolicyPlan::new(context, name, services, target)))
}

fn is_same_service(a: &Target, b: &Target) -> bool {
    a.authority == b.authority
        && a.service == b.service
        && a.egress == b.egress
        && a.endpoints.same_channel(&b.endpoints)
}
