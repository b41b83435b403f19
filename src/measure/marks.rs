//! Marks: when a service's retry policy appeared, changed or went while traffic ran.
//!
//! The objects that make a policy are watched: the ServiceProfile, the Service's annotations, and the HTTPRoutes that
//! name the Service as a parent.

use meshy_kube::failure;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use k8s_openapi::api::core::v1::Service as CoreService;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt as _, watcher};
use meshy_linkerd::names;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use meshy_kube::Kinds;
use meshy_metrics::routes::Service;
use meshy_policy::policy;
use meshy_predict::edge::Policy;

/// The API versions of HTTPRoute that Linkerd reads.
const ROUTES: [&str; 3] =
    ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1", "policy.linkerd.io/v1beta3"];

/// A watch of one service's policy; it ends with this value.
pub(crate) struct Marks {
    changes: mpsc::Receiver<String>,
    /// The watches that do not work at the moment, and why.
    broken: Arc<Mutex<BTreeMap<usize, String>>>,
    task: JoinHandle<()>,
}

impl Drop for Marks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Marks {
    /// Begins to watch. Kinds that the cluster does not serve are left out; a watch that breaks is begun again.
    ///
    /// # Errors
    /// The kinds cannot be looked up.
    pub(crate) async fn of(client: &kube::Client, service: &Service) -> anyhow::Result<Self> {
        // More changes than this in a second are no experiment; the rest then waits for its turn.
        let (tell, changes) = mpsc::channel(64);
        let mut events = events(client, service).await?;
        let service = service.clone();
        let broken = Arc::new(Mutex::new(BTreeMap::new()));
        let noted = broken.clone();
        let task = tokio::spawn(async move {
            let mut known = Known::default();
            while let Some((source, event)) = events.next().await {
                let event = {
                    let mut noted = noted.lock().expect("no panic while held");
                    match event {
                        Ok(event) => {
                            noted.remove(&source.0);
                            event
                        }
                        Err(error) => {
                            noted.insert(source.0, failure::plain(&error.into()));
                            continue;
                        }
                    }
                };
                for text in known.take(source, event, &service) {
                    if tell.send(text).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Self { changes, broken, task })
    }

    /// Why changes of policy may be missing, for each watch that does not work.
    pub(crate) fn broken(&self) -> Vec<String> {
        let broken = self.broken.lock().expect("no panic while held");
        broken.values().map(|why| format!("changes of the policy: {why}")).collect()
    }

    /// Returns what changed since the last call.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let mut changes = Vec::new();
        while let Ok(text) = self.changes.try_recv() {
            changes.push(text);
        }
        changes
    }
}

/// Where an event came from: a name to call it by, and what makes its object a policy.
type Source = (usize, What);
type Event = Result<watcher::Event<DynamicObject>, watcher::Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Profile,
    Annotations,
    Route,
}

async fn events(
    client: &kube::Client,
    service: &Service,
) -> anyhow::Result<SelectAll<BoxStream<'static, (Source, Event)>>> {
    let kinds = Kinds::new(client.clone());
    let mut wanted =
        vec![(What::Annotations, ApiResource::erase::<CoreService>(&()), Some(service.name.clone()))];
    if let Some((resource, _)) = kinds.served(names::PROFILE_API_VERSION, names::PROFILE_KIND).await? {
        wanted.push((What::Profile, resource, Some(policy::profile_name(service))));
    }
    for version in ROUTES {
        if let Some((resource, _)) = kinds.served(version, "HTTPRoute").await? {
            // Two versions of one group show the same objects.
            let known = |(_, r, _): &&(What, ApiResource, Option<String>)| {
                r.group == resource.group && r.kind == resource.kind
            };
            if wanted.iter().find(known).is_none() {
                wanted.push((What::Route, resource, None));
            }
        }
    }
    let mut all = SelectAll::new();
    for (number, (what, resource, name)) in wanted.into_iter().enumerate() {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &service.namespace, &resource);
        let mut config = watcher::Config::default();
        if let Some(name) = name {
            config = config.fields(&format!("metadata.name={name}"));
        }
        let stream = watcher(api, config).default_backoff();
        all.push(stream.map(move |event: Event| ((number, what), event)).boxed());
    }
    Ok(all)
}

/// What each watch has shown so far.
#[derive(Default)]
struct Known {
    /// The part of each object that makes the policy, by watch and name.
    now: HashMap<(usize, String), Value>,
    /// Watches whose first listing is done: what that shows was there before the traffic.
    listed: HashSet<usize>,
    listing: HashMap<usize, Vec<String>>,
}

impl Known {
    fn take(
        &mut self,
        (source, what): Source,
        event: watcher::Event<DynamicObject>,
        service: &Service,
    ) -> Vec<String> {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        match event {
            Init => {
                self.listing.insert(source, Vec::new());
                Vec::new()
            }
            InitApply(object) => {
                self.listing.entry(source).or_default().push(object.name_any());
                let before = self.listed.contains(&source);
                let text = self.put(source, what, &object, service);
                text.filter(|_| before).into_iter().collect()
            }
            InitDone => {
                // A list after a broken watch: what it lacks went meanwhile.
                let there = self.listing.remove(&source).unwrap_or_default();
                let gone: Vec<String> = self
                    .now
                    .keys()
                    .filter(|(s, name)| *s == source && !there.contains(name))
                    .map(|k| k.1.clone())
                    .collect();
                self.listed.insert(source);
                gone.into_iter().filter_map(|name| self.drop(source, what, &name)).collect()
            }
            Apply(object) => self.put(source, what, &object, service).into_iter().collect(),
            Delete(object) => self.drop(source, what, &object.name_any()).into_iter().collect(),
        }
    }

    fn put(
        &mut self,
        source: usize,
        what: What,
        object: &DynamicObject,
        service: &Service,
    ) -> Option<String> {
        let name = object.name_any();
        let Some(policy) = policy_of(what, object, service) else { return self.drop(source, what, &name) };
        let thing = thing(what, &name);
        let before = self.now.insert((source, name), policy.clone());
        if before.as_ref() == Some(&policy) {
            return None;
        }
        let word = if before.is_none() { "on" } else { "changed" };
        Some(format!("{thing} {word}: {}", words(what, &policy)))
    }

    fn drop(&mut self, source: usize, what: What, name: &str) -> Option<String> {
        self.now.remove(&(source, name.to_owned()))?;
        Some(format!("{} off", thing(what, name)))
    }
}

fn thing(what: What, name: &str) -> String {
    match what {
        What::Profile => "profile".to_owned(),
        What::Annotations => "annotations".to_owned(),
        What::Route => format!("HTTPRoute {name}"),
    }
}

/// The part of an object that makes a policy for the service; none where it makes none.
fn policy_of(what: What, object: &DynamicObject, service: &Service) -> Option<Value> {
    let annotations = || {
        let own =
            |key: &str| key.split('/').next().is_some_and(|group| policy::POLICY_GROUPS.contains(&group));
        let own: Map<String, Value> = object
            .annotations()
            .iter()
            .filter(|(key, _)| own(key))
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        own
    };
    let spec = &object.data["spec"];
    match what {
        What::Profile => Some(json!({"spec": spec})),
        What::Annotations => Some(annotations()).filter(|own| !own.is_empty()).map(Value::Object),
        What::Route => {
            let names_it = |parent: &Value| {
                parent["kind"] == "Service"
                    && parent["name"] == service.name.as_str()
                    && parent["namespace"].as_str().is_none_or(|own| own == service.namespace)
            };
            let ours = spec["parentRefs"].as_array()?.iter().any(names_it);
            ours.then(|| json!({"spec": spec, "annotations": annotations()}))
        }
    }
}

fn words(what: What, policy: &Value) -> String {
    let listed = |annotations: &Value| {
        let pairs = annotations.as_object().into_iter().flatten();
        let pairs = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
        pairs.collect::<Vec<_>>().join(", ")
    };
    match what {
        What::Profile => {
            // A spec that cannot be read is not a policy that could be named.
            let spec = serde_json::from_value(policy["spec"].clone()).unwrap_or_default();
            policy::of_spec(&spec).map_or("no route".to_owned(), |policy| brief(&policy))
        }
        What::Annotations => listed(policy),
        What::Route => {
            let rules = policy["spec"]["rules"].as_array().map_or(0, Vec::len);
            let rules = if rules == 1 { "1 rule".to_owned() } else { format!("{rules} rules") };
            let own = listed(&policy["annotations"]);
            if own.is_empty() { rules } else { format!("{rules}, {own}") }
        }
    }
}

/// Short enough for a line of a terminal.
pub(crate) fn brief(policy: &Policy) -> String {
    match policy {
        Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds } => {
            format!("budget {:.0} % + {min_retries_per_second}/s over {ttl_seconds} s", retry_ratio * 100.0)
        }
        other => other.words(),
    }
}

#[cfg(test)]
mod tests {
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn profile(min: u32) -> DynamicObject {
        object(json!({
            "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile", "metadata": {"name": "p"},
            "spec": {
                "routes": [{"name": "GET /", "condition": {}, "isRetryable": true}],
                "retryBudget": {"retryRatio": 0.2, "minRetriesPerSecond": min, "ttl": "10s"},
            },
        }))
    }

    fn text_of(source: Source, events: Vec<watcher::Event<DynamicObject>>) -> Vec<String> {
        let service = Service { namespace: "default".to_owned(), name: "s".to_owned() };
        let mut known = Known::default();
        events.into_iter().flat_map(|event| known.take(source, event, &service)).collect()
    }

    #[test]
    fn a_profile_that_comes_changes_and_goes_is_reported_and_one_that_was_there_is_not() {
        let text = text_of(
            (0, What::Profile),
            vec![
                Init,
                InitApply(profile(10)),
                InitDone,
                Apply(profile(10)),
                Apply(profile(5)),
                Delete(profile(5)),
                Apply(profile(10)),
            ],
        );
        assert_eq!(text.len(), 3, "{text:?}");
        assert!(text[0].starts_with("profile changed: budget 20 %") && text[0].contains("+ 5/s"));
        assert_eq!(text[1], "profile off");
        assert!(text[2].starts_with("profile on: "));
    }

    #[test]
    fn what_a_new_list_lacks_went_while_the_watch_was_broken() {
        let events = vec![Init, InitApply(profile(10)), InitDone, Init, InitDone];
        assert_eq!(text_of((0, What::Profile), events), ["profile off"]);
    }

    #[test]
    fn only_policy_annotations_and_routes_of_the_service_are_marks() {
        let service = |annotations: Value| {
            object(
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "annotations": annotations}}),
            )
        };
        let events = vec![
            Init,
            InitApply(service(json!({"a": "b"}))),
            InitDone,
            Apply(service(json!({"a": "c"}))),
            Apply(service(json!({"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "3"}))),
        ];
        let found = text_of((0, What::Annotations), events);
        assert_eq!(found, ["annotations on: retry.linkerd.io/http=5xx, retry.linkerd.io/limit=3"]);
        let route = |parent: &str| {
            object(json!({
                "apiVersion": "policy.linkerd.io/v1beta3", "kind": "HTTPRoute", "metadata": {"name": parent},
                "spec": {"parentRefs": [{"kind": "Service", "name": parent}], "rules": [{}]},
            }))
        };
        let found = text_of((0, What::Route), vec![Init, InitDone, Apply(route("other")), Apply(route("s"))]);
        assert_eq!(found, ["HTTPRoute s on: 1 rule"]);
    }
}
