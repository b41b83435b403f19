//! One change of a retry or routing policy.

use std::collections::BTreeMap;

use anyhow::anyhow;
use kube::ResourceExt as _;
use meshy_linkerd::names;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::capture::{Captured, Place};
use super::evidence::Evidence;
use super::owners::{self, Part};
use super::revert::{self, Reverted};
use super::write::{delete, patch};
use meshy_base::error::Advise as _;
use meshy_kube::{Apply, Kinds, Manager, Object, is_from_meshy, manifest};
use meshy_metrics::routes::Service;

/// The API version of HTTPRoutes that meshy writes.
pub(crate) const ROUTE_API_VERSION: &str = "gateway.networking.k8s.io/v1";
/// Their kind.
pub(crate) const ROUTE_KIND: &str = "HTTPRoute";

/// Fields of a spec that change what proxies do even if a new policy does not mention them.
const EXTRAS: [&str; 3] = ["retryBudget", "dstOverrides", "hostnames"];

/// A change of what proxies do with the requests to a service.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    pub(super) place: Place,
    /// None: without the object.
    pub(super) wanted: Option<Object>,
    pub(super) evidence: Evidence,
}

/// How a change is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Take over fields that other field managers hold.
    pub force: bool,
    /// Only check the change.
    pub dry_run: bool,
    /// When the change must be complete.
    pub deadline: Instant,
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The object was absent before.
    Created,
    /// The object was there and is different now.
    Changed,
    /// The object was like that before.
    Unchanged,
    /// The object was there and is deleted.
    Deleted,
    /// The object was absent before and is so still.
    Absent,
}

impl Outcome {
    /// The outcome in a word.
    pub fn words(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Absent => "absent",
        }
    }
}

/// A change that was made.
#[derive(Debug)]
pub struct Applied {
    /// What it did.
    pub outcome: Outcome,
    /// The state before, for [`PolicyChange::revert`].
    pub captured: Captured,
}

impl PolicyChange {
    /// A ServiceProfile, whose name has the service.
    pub fn profile(profile: Object) -> Self {
        let place =
            profile_place(&profile.name_any(), &profile.namespace().unwrap_or_else(default_namespace));
        Self { place, wanted: Some(profile), evidence: Evidence::Profile }
    }

    /// No ServiceProfile of this name in this namespace.
    pub fn no_profile(name: &str, namespace: &str) -> Self {
        Self { place: profile_place(name, namespace), wanted: None, evidence: Evidence::NoProfile }
    }

    /// The retry annotations of a Service; without any, no retries.
    pub fn retries(service: &Service, annotations: &BTreeMap<String, String>) -> Self {
        let (api_version, kind) = ("v1".to_owned(), "Service".to_owned());
        let Service { namespace, name } = service.clone();
        let place = Place { part: Part::Retries, api_version, kind, namespace, name };
        Self::annotated(place, annotations, Evidence::Policy(None))
    }

    /// No retry annotations on an HTTPRoute, which is otherwise left as it is.
    pub(crate) fn no_retries_of_route(namespace: &str, name: &str) -> Self {
        let place = Place { part: Part::Retries, ..route_place(name, namespace) };
        Self::annotated(place, &BTreeMap::new(), Evidence::Policy(Some(name.to_owned())))
    }

    pub(super) fn annotated(
        place: Place,
        annotations: &BTreeMap<String, String>,
        evidence: Evidence,
    ) -> Self {
        let mut wanted = place.with_spec(Value::Null);
        if !annotations.is_empty() {
            wanted.metadata.annotations = Some(annotations.clone());
        }
        Self { place, wanted: Some(wanted), evidence }
    }

    /// An HTTPRoute, as [`route`](super::objects::route) builds it.
    pub fn route(route: Object) -> Self {
        let name = route.name_any();
        let place = route_place(&name, &route.namespace().unwrap_or_else(default_namespace));
        Self { place, wanted: Some(route), evidence: Evidence::Policy(Some(name)) }
    }

    /// No HTTPRoute of this name.
    pub fn no_route(name: &str, namespace: &str) -> Self {
        Self { place: route_place(name, namespace), wanted: None, evidence: Evidence::Policy(None) }
    }

    /// The annotations of a Service that make a policy: retries, timeouts, circuit breakers. Other annotations stay.
    pub fn annotations(service: &Service, annotations: &BTreeMap<String, String>) -> Self {
        let (api_version, kind) = ("v1".to_owned(), "Service".to_owned());
        let Service { namespace, name } = service.clone();
        let place = Place { part: Part::Policies, api_version, kind, namespace, name };
        Self::annotated(place, annotations, Evidence::Policy(None))
    }

    /// An object of any kind that makes a policy.
    pub fn object(object: Object) -> Self {
        let place = object_place(&object);
        let evidence = match place.kind.as_str() {
            names::PROFILE_KIND => Evidence::ProfileRoutes,
            _ => Evidence::Policy(None),
        };
        Self { place, wanted: Some(object), evidence }
    }

    /// No object of that kind and name. One that was there before is emptied until it is restored.
    pub fn no_object(object: &Object) -> Self {
        let place = object_place(object);
        let evidence = match place.kind.as_str() {
            names::PROFILE_KIND => Evidence::NoProfile,
            _ => Evidence::Policy(None),
        };
        Self { place, wanted: None, evidence }
    }

    /// What the counters of a client's proxy show once it uses this policy.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What is changed, for people.
    pub fn describe(&self) -> String {
        self.place.describe()
    }

    /// Returns whether the object exists and meshy did not create it.
    ///
    /// # Errors
    /// The API server does not respond or refuses.
    pub async fn is_of_another_tool(&self, kinds: &Kinds) -> anyhow::Result<bool> {
        Ok(self.place.read(kinds.client()).await?.is_some_and(|there| !is_from_meshy(&there)))
    }

    /// Makes the change, and captures the state before it. An object that meshy creates gets the label by which `down`
    /// finds it; one that was there stays whose it is.
    ///
    /// # Errors
    /// Another field manager holds a field, which is found before anything is changed; the API server refuses the object.
    pub async fn apply(&self, kinds: &Kinds, options: &Options) -> anyhow::Result<Applied> {
        let mut captured = Captured::of(kinds.client(), self.place.clone()).await?;
        let check = self.check(&captured, options.force, Lasting);
        check.hint("`--force` takes the fields over")?;
        let wanted = self.plan(&captured, Lasting);
        captured.writes(self.place.state(wanted.as_ref()));
        let (outcome, stored) = self.write(kinds, &captured, wanted, options, Lasting).await?;
        captured.stored(stored);
        Ok(Applied { outcome, captured })
    }

    /// Restores what [`PolicyChange::apply`] captured: the object is as it was before, except for what the API server
    /// counts (resource version, generation). A state that another tool wrote since is left alone.
    ///
    /// # Errors
    /// The API server does not respond or refuses.
    pub async fn revert(client: &kube::Client, captured: &Captured) -> anyhow::Result<Reverted> {
        revert::revert(client, captured).await
    }
}

/// Whether an object that was there before may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// The change stays: the object is deleted if the change deletes it.
    Lasting,
    /// The change is reverted later: the object is emptied and keeps its uid.
    Temporary,
}

pub(super) use Lifetime::{Lasting, Temporary};

impl PolicyChange {
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The object to write, none to delete it.
    pub(super) fn plan(&self, captured: &Captured, lifetime: Lifetime) -> Option<Object> {
        match (&self.wanted, &captured.before) {
            (None, Some(before)) if lifetime == Temporary => Some(self.place.with_spec(emptied(before))),
            (Some(wanted), Some(before)) if self.place.part != Part::Whole && lifetime == Lasting => {
                Some(self.with_kept(wanted, before))
            }
            (wanted, _) => wanted.clone(),
        }
    }

    /// Adds the annotations that meshy applied before and that this change does not concern: without them, the API server would
    /// remove them, as this field manager does not apply them any more.
    fn with_kept(&self, wanted: &Object, before: &Object) -> Object {
        let mut object = wanted.clone();
        let new = wanted.annotations();
        let is_concerned = |key: &str| {
            let same_group = |own: &String| owners::group(own) == owners::group(key);
            self.place.part.has(key)
                && (self.place.part == Part::Retries || new.is_empty() || new.keys().any(same_group))
        };
        let applied = owners::annotations_of(before.managed_fields(), Manager::Policy.name());
        let kept = applied.into_iter().filter(|key| !is_concerned(key));
        let kept: Vec<(String, String)> = kept
            .filter_map(|key| before.annotations().get(&key).cloned().map(|value| (key, value)))
            .collect();
        object.annotations_mut().extend(kept);
        object
    }

    /// Refuses a change of what other field managers hold, before anything is written.
    pub(super) fn check(&self, captured: &Captured, force: bool, lifetime: Lifetime) -> anyhow::Result<()> {
        let Some(wanted) = self.plan(captured, lifetime).filter(|_| !force) else { return Ok(()) };
        let extras = captured.before.as_ref().map(|before| self.extras(before, &wanted, lifetime));
        captured.check(&wanted, &extras.unwrap_or_default())
    }

    /// JSON pointers of what must go so that `wanted` is the whole policy.
    fn extras(&self, now: &Object, wanted: &Object, lifetime: Lifetime) -> Vec<String> {
        match self.place.part {
            // An emptied object keeps the rest.
            Part::Whole if self.wanted.is_none() => Vec::new(),
            Part::Whole => {
                let has = |object: &Object, key: &str| object.data["spec"].get(key).is_some();
                let only_now = EXTRAS.into_iter().filter(|key| has(now, key) && !has(wanted, key));
                only_now.map(|key| format!("/spec/{key}")).collect()
            }
            // Annotations of other tools stay, unless they are restored later.
            Part::Retries | Part::Policies if lifetime == Lasting => Vec::new(),
            Part::Retries | Part::Policies => {
                let keys = now.annotations().keys().filter(|key| self.place.part.has(key));
                let only_now = keys.filter(|key| !wanted.annotations().contains_key(*key));
                only_now.map(|key| format!("/metadata/annotations/{}", escaped(key))).collect()
            }
        }
    }

    /// Writes or deletes the object; returns the outcome and the state that is stored.
    pub(super) async fn write(
        &self,
        kinds: &Kinds,
        captured: &Captured,
        wanted: Option<Object>,
        options: &Options,
        lifetime: Lifetime,
    ) -> anyhow::Result<(Outcome, Value)> {
        let Some(wanted) = wanted else { return self.delete(kinds, captured, options, lifetime).await };
        if captured.before.is_none() && self.place.part != Part::Whole {
            return Err(anyhow!("there is no {}", self.place.describe()));
        }
        let own = captured.before.as_ref().is_none_or(is_from_meshy);
        let apply = Apply::new(kinds, Manager::Policy, options.deadline);
        let apply =
            apply.force(options.force).dry_run(options.dry_run).mark(own && self.place.part == Part::Whole);
        let applied = apply.run(vec![wanted.clone()]).await?;
        let created = applied.first().is_some_and(|applied| applied.created);
        if options.dry_run {
            let outcome = if created { Outcome::Created } else { Outcome::Changed };
            return Ok((outcome, Value::Null));
        }
        let mut now = self.place.read(kinds.client()).await?;
        if let Some(object) = &now {
            let extras = self.extras(object, &wanted, lifetime);
            if !extras.is_empty() {
                let ops: Vec<Value> =
                    extras.iter().map(|path| json!({"op": "remove", "path": path})).collect();
                now = Some(patch(kinds.client(), &self.place, ops).await?);
            }
        }
        let state = self.place.state(now.as_ref());
        // The times in the object are to the second, too coarse to distinguish a change.
        let outcome = match created {
            true => Outcome::Created,
            false if state == self.place.state(captured.before.as_ref()) => Outcome::Unchanged,
            false => Outcome::Changed,
        };
        Ok((outcome, state))
    }

    async fn delete(
        &self,
        kinds: &Kinds,
        captured: &Captured,
        options: &Options,
        lifetime: Lifetime,
    ) -> anyhow::Result<(Outcome, Value)> {
        let there = if lifetime == Lasting {
            captured.before.clone()
        } else {
            self.place.read(kinds.client()).await?
        };
        let Some(there) = there else { return Ok((Outcome::Absent, Value::Null)) };
        if options.dry_run {
            return Ok((Outcome::Deleted, Value::Null));
        }
        let gone = delete(kinds.client(), &self.place, &there, lifetime == Temporary).await?;
        Ok((if gone { Outcome::Deleted } else { Outcome::Absent }, Value::Null))
    }
}

/// A key as a part of a JSON pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Returns the spec with which an object has no effect. Everything else in it stays, so that it stays valid.
fn emptied(before: &Object) -> Value {
    let mut spec = before.data["spec"].clone();
    let lists: &[&str] = match manifest::kind(before) {
        ROUTE_KIND | "GRPCRoute" => &["parentRefs"],
        names::PROFILE_KIND => &["routes", "dstOverrides"],
        _ => &[],
    };
    for list in lists {
        if *list == "routes" || spec.get(list).is_some() {
            spec[list] = json!([]);
        }
    }
    spec
}

pub(super) fn profile_place(name: &str, namespace: &str) -> Place {
    Place {
        part: Part::Whole,
        api_version: names::PROFILE_API_VERSION.to_owned(),
        kind: names::PROFILE_KIND.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

pub(super) fn route_place(name: &str, namespace: &str) -> Place {
    let (api_version, kind) = (ROUTE_API_VERSION.to_owned(), ROUTE_KIND.to_owned());
    Place { part: Part::Whole, api_version, kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

fn object_place(object: &Object) -> Place {
    let types = object.types.clone().unwrap_or_default();
    Place {
        part: Part::Whole,
        api_version: types.api_version,
        kind: types.kind,
        namespace: object.namespace().unwrap_or_else(default_namespace),
        name: object.name_any(),
    }
}

fn default_namespace() -> String {
    "default".to_owned()
}
