//! Policies and faults in the cluster of a run. Each change goes through the session, which restores it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use meshy_experiment::scenario::plan::policies;
use meshy_experiment::scenario::policies::PolicyFile;
use meshy_experiment::scenario::{self, Fault, Step, Variant};
use meshy_kube::{Object, manifest};
use meshy_metrics::routes::Service;
use meshy_policy::policy::{PolicyChange, Session};
use meshy_policy::services::NotTestService;
use meshy_policy::test_service::{Delay, Distribution, FaultChange};
use serde_json::json;
use tokio::sync::Mutex;

/// The policies of a step as objects, by kind, namespace and name. Of a Service it is the annotations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InForce(BTreeMap<(String, String, String), Object>);

/// A change of one object that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// The object in words.
    pub(super) subject: String,
    /// Whether it is in force no more.
    pub(super) ends: bool,
}

/// What becomes of a policy that a step does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The object does not exist, or has no effect.
    Removed,
    /// The object is as it was before the run.
    Restored,
}

impl InForce {
    /// Builds the objects of a step. Later files replace earlier ones; annotations of a Service are merged.
    ///
    /// # Errors
    /// A file has an invalid object.
    pub(super) fn of(
        files: &BTreeMap<String, PolicyFile>,
        step: &Step,
        variant: Option<&Variant>,
        namespace: &str,
    ) -> anyhow::Result<Self> {
        let mut all = BTreeMap::new();
        for file in policies(step, variant).iter().filter_map(|name| files.get(name)) {
            for mut value in file.objects(namespace)? {
                if value["metadata"]["namespace"].is_null() {
                    value["metadata"]["namespace"] = json!(namespace);
                }
                for object in manifest::from_value(value)? {
                    add(&mut all, object);
                }
            }
        }
        Ok(Self(all))
    }

    /// Returns the objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.0.values()
    }

    /// Returns the changes that apply all objects.
    pub(super) fn changes(&self) -> Vec<PolicyChange> {
        self.objects().map(apply).collect()
    }

    /// Makes the changes from these objects to those of the next step. Returns what changed.
    ///
    /// # Errors
    /// The API server refuses a change, or another tool has changed an object meanwhile.
    pub(super) async fn change_to(
        &self,
        next: &Self,
        session: &Mutex<&mut Session>,
        absent: Absent,
    ) -> anyhow::Result<Vec<Changed>> {
        let mut changed = Vec::new();
        for (_, object) in self.0.iter().filter(|(key, _)| !next.0.contains_key(*key)) {
            let subject = manifest::describe(object);
            let removed = remove(object, session, absent).await;
            removed.with_context(|| format!("cannot remove policy {subject}"))?;
            changed.push(Changed { subject, ends: true });
        }
        for (_, object) in next.0.iter().filter(|(key, object)| self.0.get(*key) != Some(*object)) {
            let subject = manifest::describe(object);
            let applied = session.lock().await.apply(&apply(object)).await;
            applied.with_context(|| format!("cannot apply policy {subject}"))?;
            changed.push(Changed { subject, ends: false });
        }
        Ok(changed)
    }
}

fn add(all: &mut BTreeMap<(String, String, String), Object>, mut object: Object) {
    let (name, namespace) = (object.metadata.name.clone(), object.metadata.namespace.clone());
    let kind = manifest::kind(&object).to_owned();
    let key = (kind, namespace.unwrap_or_default(), name.unwrap_or_default());
    if key.0 == "Service"
        && let Some(earlier) = all.get(&key)
    {
        let mut annotations = earlier.metadata.annotations.clone().unwrap_or_default();
        annotations.extend(object.metadata.annotations.take().unwrap_or_default());
        object.metadata.annotations = Some(annotations);
    }
    all.insert(key, object);
}

fn apply(object: &Object) -> PolicyChange {
    match service(object) {
        Some(service) => PolicyChange::annotations(
            &service,
            &object.metadata.annotations.clone().unwrap_or_default().into_iter().collect(),
        ),
        None => PolicyChange::object(object.clone()),
    }
}

async fn remove(object: &Object, session: &Mutex<&mut Session>, absent: Absent) -> anyhow::Result<()> {
    let mut session = session.lock().await;
    let can_be_emptied = ["ServiceProfile", "HTTPRoute"].contains(&manifest::kind(object));
    match (absent, service(object)) {
        (Absent::Restored, _) => session.undo(&apply(object)).await,
        (Absent::Removed, Some(service)) => {
            session.apply(&PolicyChange::annotations(&service, &BTreeMap::new())).await.map(drop)
        }
        (Absent::Removed, None) if can_be_emptied => {
            session.apply(&PolicyChange::no_object(object)).await.map(drop)
        }
        (Absent::Removed, None) => session.undo(&apply(object)).await,
    }
}

fn service(object: &Object) -> Option<Service> {
    (manifest::kind(object) == "Service").then(|| Service {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
    })
}

/// Sets faults of a service, after its faults were reset if `reset` is set. Returns false if the pods do not run meshy's
/// test service and `foreign` allows that: what they do is up to their image.
///
/// # Errors
/// A pod cannot be reached, or does not run the test service.
pub(super) async fn fault(
    session: &Mutex<&mut Session>,
    service: &Service,
    (reset, foreign): (bool, bool),
    faults: &[&Fault],
) -> anyhow::Result<bool> {
    let mut session = session.lock().await;
    let set = async {
        if reset {
            let change = FaultChange { reset: true, ..FaultChange::default() };
            session.fault(service, None, &change).await?;
        }
        for fault in faults {
            let count = fault.pods.as_ref().map(|count| count.value as usize);
            session.fault(service, count, &change(fault)).await?;
        }
        anyhow::Ok(())
    };
    match set.await {
        Err(error) if foreign && meshy_base::error::cause::<NotTestService>(&error).is_some() => Ok(false),
        other => other.map(|()| true),
    }
}

/// The change of a fault as the test service takes it.
fn change(fault: &Fault) -> FaultChange {
    let mut change = FaultChange { reset: fault.reset, ..FaultChange::default() };
    if let Some(errors) = fault.errors {
        change.errors = Some(Some(errors.0));
        change.sequence = Some(Vec::new());
        change.blocks = Some(fault.blocks.is_some());
        // A step starts with a new block, so that its first seconds have exactly the share of errors.
        change.seed = fault.blocks.is_some().then_some(None);
    }
    if !fault.sequence.is_empty() {
        change.sequence = Some(fault.sequence.clone());
    }
    if let Some(delay) = fault.delay {
        let distribution = match delay.distribution {
            scenario::Distribution::Fixed => Distribution::Fixed,
            scenario::Distribution::Uniform => Distribution::Uniform,
            scenario::Distribution::Exponential => Distribution::Exponential,
        };
        change.delay = Some(Some(Delay { mean_ms: delay.mean.0.as_secs_f64() * 1000.0, distribution }));
    }
    if let Some(slow) = fault.slow {
        change.slow = Some(slow.0);
    }
    if fault.down {
        change.down = Some(true);
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> PolicyFile {
        PolicyFile { name: "p".to_owned(), place: "p".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn annotations_of_a_service_in_two_files_are_both_in_force() {
        let annotated = |key: &str, value: &str| {
            file(&format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{ name: a, annotations: {{ {key}: \"{value}\" }} }}\n"
            ))
        };
        let files = BTreeMap::from([
            ("a".to_owned(), annotated("retry.linkerd.io/limit", "2")),
            ("b".to_owned(), annotated("timeout.linkerd.io/request", "1s")),
        ]);
        let step = Step { policies: vec!["a".to_owned().into(), "b".to_owned().into()], ..Step::default() };
        let found = InForce::of(&files, &step, None, "shop").unwrap();
        let objects: Vec<&Object> = found.objects().collect();
        let annotations = objects[0].metadata.annotations.clone().unwrap();
        assert_eq!((objects.len(), annotations.len()), (1, 2));
        assert_eq!(objects[0].metadata.namespace.as_deref(), Some("shop"));
    }

    #[test]
    fn a_fault_with_blocks_starts_a_new_block_and_replaces_a_sequence() {
        let fault =
            Fault { errors: Some("70%".parse().unwrap()), blocks: Some(10.into()), ..Fault::default() };
        let wanted = json!({"errors": 0.7, "sequence": [], "blocks": true, "seed": null});
        assert_eq!(json!(change(&fault)), wanted);
    }
}
