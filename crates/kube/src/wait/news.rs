//! What is reported about an object and its pods: by watches for it alone, or by watches that many objects share.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::mpsc;

use super::super::manifest::kind;
use super::super::{Kinds, Object};
use super::workload::{PodsUnseen, pods_of};
use crate::failure;

/// From so many objects of a kind in a namespace on, one watch for all of them and one for their pods take the place of two for each:
/// a watch is a connection, and an API server looks at each change of a kind once for each watch of that kind.
const SHARED_FROM: usize = 8;

/// What a watch reports.
pub(super) enum News {
    /// The latest state; none if there is no such object.
    Object(Option<Box<Object>>),
    Pod(Box<watcher::Event<Pod>>),
    /// Why the object is not seen at the moment.
    Failure(String),
    /// Why its pods are not seen.
    NoPods(PodsUnseen),
    /// Nothing: a look at the clock.
    Look,
}

/// The news of one object.
pub(super) type Feed = BoxStream<'static, News>;

/// Returns the news of each object in their order, and what must run meanwhile.
///
/// # Errors
/// The API server does not serve the kind of an object.
pub(super) async fn of_all(
    kinds: &Kinds,
    objects: &[&Object],
) -> anyhow::Result<(Vec<Feed>, BoxFuture<'static, ()>)> {
    let key = |object: &Object| (kind(object).to_owned(), object.namespace());
    let mut groups: BTreeMap<(String, Option<String>), Vec<&Object>> = BTreeMap::new();
    for object in objects.iter().filter(|object| !labels_of_pods(object).is_empty()) {
        groups.entry(key(object)).or_default().push(object);
    }
    groups.retain(|_, members| members.len() >= SHARED_FROM);
    let (mut shared, mut work) = (BTreeMap::new(), Vec::new());
    for (key, members) in groups {
        let (members, feeds): (Vec<Member>, Vec<Feed>) = members.into_iter().map(Member::new).unzip();
        let api = kinds.api(objects_api(objects, &key), "default").await?;
        let pods = Api::namespaced(kinds.client().clone(), api.namespace().unwrap_or_default());
        let members: Arc<[Member]> = members.into();
        work.push(follow(api, members.clone()).boxed());
        work.push(follow_pods(pods, members).boxed());
        shared.insert(key, feeds.into_iter());
    }
    let mut feeds = Vec::new();
    for object in objects {
        let has_pods = !labels_of_pods(object).is_empty();
        let next = shared.get_mut(&key(object)).filter(|_| has_pods).and_then(Iterator::next);
        feeds.push(match next {
            Some(feed) => feed,
            None => of_one(kinds, object).await?,
        });
    }
    Ok((feeds, futures::future::join_all(work).map(drop).boxed()))
}

/// The first object of a group, which has its kind and namespace.
fn objects_api<'a>(objects: &[&'a Object], key: &(String, Option<String>)) -> &'a Object {
    let found = objects.iter().find(|object| kind(object) == key.0 && object.namespace() == key.1);
    found.expect("a group has members")
}

/// The labels of a workload's pods; empty for other kinds.
fn labels_of_pods(object: &Object) -> BTreeMap<String, String> {
    let labels = object.data["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Watches one object and its pods.
async fn of_one(kinds: &Kinds, object: &Object) -> anyhow::Result<Feed> {
    let api = kinds.api(object, "default").await?;
    let pods = Api::<Pod>::namespaced(kinds.client().clone(), api.namespace().unwrap_or_default());
    let changes = watcher::watch_object(api, &object.name_any()).default_backoff();
    let changes = changes.map(|change| match change {
        Ok(object) => News::Object(object.map(Box::new)),
        Err(error) => News::Failure(failure::plain(&error.into())),
    });
    let Some(config) = pods_of(object) else { return Ok(changes.boxed()) };
    let pods = watcher(pods, config).default_backoff().map(|event| match event {
        Ok(event) => News::Pod(Box::new(event)),
        Err(error) => News::NoPods(error.into()),
    });
    Ok(stream::select(changes, pods).boxed())
}

/// An object that shares watches.
struct Member {
    name: String,
    labels: BTreeMap<String, String>,
    news: mpsc::UnboundedSender<News>,
}

impl Member {
    fn new(object: &Object) -> (Self, Feed) {
        let (news, received) = mpsc::unbounded_channel();
        let feed = stream::unfold(received, |mut received| async move {
            let news = received.recv().await?;
            Some((news, received))
        });
        (Self { name: object.name_any(), labels: labels_of_pods(object), news }, feed.boxed())
    }

    /// Sends news; an object that is ready has no reader.
    fn send(&self, news: News) {
        let _ = self.news.send(news);
    }

    fn has(&self, pod: &Pod) -> bool {
        self.labels.iter().all(|(name, value)| pod.labels().get(name) == Some(value))
    }
}

/// Reports the changes of the members among all objects of their kind and namespace.
async fn follow(api: Api<Object>, members: Arc<[Member]>) {
    let mut listed = HashSet::new();
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                let name = object.name_any();
                if let Some(member) = members.iter().find(|member| member.name == name) {
                    member.send(News::Object(Some(Box::new(object))));
                    listed.insert(name);
                }
            }
            Ok(watcher::Event::InitDone) => {
                members
                    .iter()
                    .filter(|member| !listed.contains(&member.name))
                    .for_each(|member| member.send(News::Object(None)));
            }
            Ok(watcher::Event::Delete(object)) => {
                let gone = members.iter().filter(|member| member.name == object.name_any());
                gone.for_each(|member| member.send(News::Object(None)));
            }
            Err(error) => {
                let why = failure::plain(&error.into());
                members.iter().for_each(|member| member.send(News::Failure(why.clone())));
            }
        }
    }
}

/// Reports the pods of the members among all pods of their namespace.
async fn follow_pods(api: Api<Pod>, members: Arc<[Member]>) {
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                let concerned = |member: &&Member| match &event {
                    Init | InitDone => true,
                    Apply(pod) | InitApply(pod) | Delete(pod) => member.has(pod),
                };
                let concerned = members.iter().filter(concerned);
                concerned.for_each(|member| member.send(News::Pod(Box::new(event.clone()))));
            }
            Err(error) => {
                let trouble = PodsUnseen::from(error);
                members.iter().for_each(|member| member.send(News::NoPods(trouble.clone())));
            }
        }
    }
}
