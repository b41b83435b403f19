//! Server-side apply: in dependency order, in parallel within a rank, with meshy's rules on who holds what.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Patch, PatchParams, ValidationDirective};
use kube::core::{PartialObjectMeta, Request, Status};
use kube::{Resource as _, ResourceExt as _};
use tokio::time::Instant;

pub use super::conflict::Conflict;
use super::rank::{self, Rank};
use super::{Kinds, MANAGED_BY, MESHY, Object, conflict, is_from_meshy, manifest, wait};
use crate::failure::{self, words_of};
use meshy_base::error::{Advise, Exit};

/// How many objects are applied at once. Each needs a connection (kube uses HTTP/1.1), whose handshake costs more than
/// a small object; above 8 the whole took no less time against a real API server.
const AT_ONCE: usize = 8;

/// How often a refusal that may pass (an overloaded or restarting API server) is tried again.
const ATTEMPTS: u32 = 5;

/// In whose name fields are written. A field stays with who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// `meshy`: the fields of manifests. The two below have precedence.
    Manifests,
    /// `meshy-inject`: injection annotations and the restart stamp.
    Inject,
    /// `meshy-policy`: retry annotations.
    Policy,
}

impl Manager {
    /// The field manager's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifests => MESHY,
            Self::Inject => "meshy-inject",
            Self::Policy => "meshy-policy",
        }
    }

    /// What to do when others hold fields: the ones that stand in the way, the fields to leave out, whether to force.
    fn settle(self, conflicts: Vec<Conflict>, force: bool) -> Settlement {
        let ours = |c: &Conflict| match self {
            Self::Manifests => c.manager.starts_with("meshy-"),
            Self::Inject | Self::Policy => c.manager == MESHY,
        };
        let (ours, foreign): (Vec<_>, Vec<_>) = conflicts.into_iter().partition(ours);
        match (self, foreign.is_empty() || force) {
            (_, false) => Settlement::Refuse(foreign),
            // Only then is forcing for the foreign ones harmless to what our other managers hold.
            (Self::Manifests, true) if !ours.is_empty() => Settlement::LeaveOut(ours),
            (_, true) => Settlement::Force,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Settlement {
    Refuse(Vec<Conflict>),
    LeaveOut(Vec<Conflict>),
    Force,
}

/// How a set of objects is applied.
#[derive(Clone, Debug)]
pub struct Apply {
    kinds: Kinds,
    manager: Manager,
    namespace: String,
    force: bool,
    dry_run: bool,
    mark: bool,
    deadline: Instant,
}

/// What became of one object.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The object as it was sent, its namespace filled in.
    pub object: Object,
    /// It was not there before.
    pub created: bool,
    /// It is not as it was before.
    pub changed: bool,
    /// Fields left to other `meshy-*` managers.
    pub left_out: Vec<Conflict>,
}

impl Apply {
    /// Applies as `manager` into namespace `default` where an object names none, without force.
    pub fn new(kinds: &Kinds, manager: Manager, deadline: Instant) -> Self {
        let namespace = "default".to_owned();
        Self { kinds: kinds.clone(), manager, namespace, force: false, dry_run: false, mark: false, deadline }
    }

    /// The namespace for objects that name none.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self }
    }

    /// Takes fields from managers that are not meshy's.
    #[must_use]
    pub fn force(self, force: bool) -> Self {
        Self { force, ..self }
    }

    /// Lets the API server check and respond, but store nothing.
    #[must_use]
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Labels what is applied as made by meshy, so that `down` finds it; namespaces and definitions that others made stay
    /// unlabelled.
    #[must_use]
    pub fn mark(self, mark: bool) -> Self {
        Self { mark, ..self }
    }

    /// Applies objects rank by rank.
    ///
    /// # Errors
    /// The first refusal: the API server's words, or the fields in conflict and who holds them. What was applied before
    /// stays.
    pub async fn run(&self, objects: Vec<Object>) -> anyhow::Result<Vec<Applied>> {
        let mut all = Vec::with_capacity(objects.len());
        for (rank, group) in rank::groups(objects) {
            let begun = now();
            let applied: Vec<Applied> = stream::iter(group)
                .map(|object| self.one(object, begun))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            if rank == Rank::Definitions && !self.dry_run {
                let objects: Vec<&Object> = applied.iter().map(|a| &a.object).collect();
                wait::established(&self.kinds, &objects, self.deadline).await?;
                self.kinds.forget();
            }
            all.extend(applied);
        }
        Ok(all)
    }

    async fn one(&self, mut object: Object, begun: i64) -> anyhow::Result<Applied> {
        let what = manifest::describe(&object);
        let api = self.kinds.api(&object, &self.namespace).await?;
        object.metadata.managed_fields = None;
        object.metadata.namespace = api.namespace().map(str::to_owned);
        if self.mark && !self.foreign(&api, &object).await? {
            object.labels_mut().insert(MANAGED_BY.to_owned(), MESHY.to_owned());
        }
        let mut force = false;
        let mut left_out: Vec<Conflict> = Vec::new();
        loop {
            let sent = self.send(api.resource_url(), &object, force).await;
            let conflicts = match sent.with_context(|| format!("cannot apply {what}"))? {
                ApplyResponse::Kept { created, changed_at } => {
                    let changed = created || changed_at.is_none_or(|at| at >= begun);
                    return Ok(Applied { object, created, changed, left_out });
                }
                ApplyResponse::Refused(status) => {
                    let conflicts = conflict::conflicts(&status);
                    if conflicts.is_empty() || force {
                        let refused = Err(anyhow!("{}", words_of(&status)))
                            .with_context(|| format!("cannot apply {what}"));
                        return match missing_namespace(&status) {
                            None => refused,
                            Some(name) => refused.hint(format!(
                                "create it with `kubectl create namespace {name}`, or add a Namespace to the manifests"
                            )),
                        };
                    }
                    conflicts
                }
            };
            match self.manager.settle(conflicts, self.force) {
                Settlement::Force => force = true,
                Settlement::Refuse(foreign) => {
                    let list: Vec<String> = foreign.iter().map(ToString::to_string).collect();
                    return Err(anyhow!("{}", list.join("; ")))
                        .with_context(|| format!("cannot apply {what}"))
                        .hint("`--force` takes the fields over; else leave them out of the manifest")
                        .id("apply-conflict")
                        .exit(Exit::Failed);
                }
                Settlement::LeaveOut(ours) => {
                    let mut value = serde_json::to_value(&object)?;
                    for conflict in &ours {
                        anyhow::ensure!(
                            conflict::take_out(&mut value, &conflict.field),
                            "cannot remove field `{}` from {what}",
                            conflict.field
                        );
                    }
                    object = serde_json::from_value(value)?;
                    left_out.extend(ours);
                }
            }
        }
    }

    /// Whether a thing that many share (a namespace, a definition) is there already and not meshy's.
    async fn foreign(&self, api: &kube::Api<Object>, object: &Object) -> anyhow::Result<bool> {
        if Rank::of(object) > Rank::Definitions {
            return Ok(false);
        }
        let name = object.name_any();
        let there = api.get_metadata_opt(&name).await;
        let there = there.with_context(|| format!("cannot look at {}", manifest::describe(object)))?;
        Ok(there.is_some_and(|there| !is_from_meshy(&there)))
    }

    /// Sends one apply. Asks for the metadata alone in return: the rest would only be read to be thrown away.
    async fn send(&self, url: &str, object: &Object, force: bool) -> anyhow::Result<ApplyResponse> {
        let name = object.name_any();
        let params = PatchParams {
            field_manager: Some(self.manager.name().to_owned()),
            force,
            dry_run: self.dry_run,
            field_validation: Some(ValidationDirective::Strict),
        };
        let mut pause = Duration::from_millis(100);
        for attempt in 1.. {
            let request = Request::new(url).patch_metadata(&name, &params, &Patch::Apply(object))?;
            let answer = self.kinds.client().send(request.map(kube::client::Body::from)).await;
            let passing = match answer {
                Ok(response) => {
                    let code = response.status();
                    let body = http_body_util::BodyExt::collect(response.into_body()).await;
                    let body = body?.to_bytes();
                    if code.is_success() {
                        let kept: PartialObjectMeta<Object> =
                            serde_json::from_slice(&body).context("cannot read the API server's response")?;
                        let changed_at = self.written_at(&kept);
                        return Ok(ApplyResponse::Kept { created: code.as_u16() == 201, changed_at });
                    }
                    let status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| {
                        Status::failure(&String::from_utf8_lossy(&body), "").with_code(code.as_u16())
                    });
                    let overloaded = matches!(code.as_u16(), 429 | 503 | 504);
                    if !overloaded || attempt >= ATTEMPTS {
                        return Ok(ApplyResponse::Refused(Box::new(status)));
                    }
                    words_of(&status)
                }
                Err(error) if attempt >= ATTEMPTS => return Err(error.into()),
                Err(error) => failure::words(&error),
            };
            tracing::debug!(%name, attempt, "apply did not get through: {passing}");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    /// When the manager's fields were last written, in seconds since 1970: an apply that changes nothing leaves it.
    fn written_at(&self, kept: &PartialObjectMeta<Object>) -> Option<i64> {
        let entries = kept.meta().managed_fields.iter().flatten();
        let ours = entries.filter(|e| {
            e.manager.as_deref() == Some(self.manager.name()) && e.operation.as_deref() == Some("Apply")
        });
        ours.filter_map(|e| e.time.as_ref()).map(|t| t.0.as_second()).max()
    }
}

enum ApplyResponse {
    Kept { created: bool, changed_at: Option<i64> },
    Refused(Box<Status>),
}

/// The namespace that is missing according to the API server.
fn missing_namespace(status: &Status) -> Option<&str> {
    let details = status.details.as_ref()?;
    (status.code == 404 && details.kind == "namespaces").then_some(details.name.as_str())
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// One sentence on what was done: `12 objects, 3 new, 1 changed`.
pub fn summary(applied: &[Applied]) -> String {
    let created = applied.iter().filter(|a| a.created).count();
    let changed = applied.iter().filter(|a| a.changed && !a.created).count();
    let objects =
        if applied.len() == 1 { "1 object".to_owned() } else { format!("{} objects", applied.len()) };
    match (created, changed) {
        (0, 0) => format!("{objects}, unchanged"),
        (0, _) => format!("{objects}, {changed} changed"),
        (_, 0) => format!("{objects}, {created} new"),
        _ => format!("{objects}, {created} new, {changed} changed"),
    }
}

/// What was left to other managers, a line each, which `deploy` and `up` print.
pub fn left_out(applied: &[Applied]) -> Vec<String> {
    let each = applied.iter().flat_map(|a| a.left_out.iter().map(move |c| (a, c)));
    each.map(|(a, c)| format!("{}: {c}; not changed", manifest::describe(&a.object))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(manager: &str) -> Vec<Conflict> {
        vec![Conflict { field: ".spec.replicas".into(), manager: manager.into() }]
    }

    #[test]
    fn manifests_give_way_to_meshys_other_managers_and_stop_at_foreign_ones() {
        let m = Manager::Manifests;
        assert_eq!(m.settle(held_by("meshy-inject"), false), Settlement::LeaveOut(held_by("meshy-inject")));
        assert_eq!(m.settle(held_by("meshy-inject"), true), Settlement::LeaveOut(held_by("meshy-inject")));
        assert_eq!(m.settle(held_by("kubectl"), false), Settlement::Refuse(held_by("kubectl")));
        assert_eq!(m.settle(held_by("kubectl"), true), Settlement::Force);
    }

    #[test]
    fn a_missing_namespace_is_named_and_no_other_missing_object_is() {
        let status = |kind: &str, code: u16| -> Status {
            serde_json::from_value(
                serde_json::json!({"status": "Failure", "code": code, "reason": "NotFound",
                "details": {"kind": kind, "name": "nowhere"}}),
            )
            .unwrap()
        };
        assert_eq!(missing_namespace(&status("namespaces", 404)), Some("nowhere"));
        assert_eq!(missing_namespace(&status("services", 404)), None);
        assert_eq!(missing_namespace(&status("namespaces", 403)), None);
    }

    #[test]
    fn inject_and_policy_force_over_manifests_only() {
        for m in [Manager::Inject, Manager::Policy] {
            assert_eq!(m.settle(held_by("meshy"), false), Settlement::Force);
            assert_eq!(m.settle(held_by("kubectl"), false), Settlement::Refuse(held_by("kubectl")));
        }
    }
}
