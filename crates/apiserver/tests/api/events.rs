//! Events in the core group and in `events.k8s.io`. The expected objects are those of kube-apiserver 1.36.3.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use meshy_apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::client;
use crate::requests::exchange;

const CORE: &str = "/api/v1/namespaces/default/events";
const NEW: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const TIME: &str = "2026-01-01T00:00:00.000000Z";

async fn send(server: &Server, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, _, body) = exchange(server, method, path, "", &body).await;
    (status, body)
}

fn without_metadata(mut event: Value) -> Value {
    event.as_object_mut().expect("an object").remove("metadata");
    event
}

#[tokio::test]
async fn event_is_the_same_object_in_both_groups() {
    let server = Server::new(Options::default());
    let event = json!({
        "metadata": {"name": "e1"}, "eventTime": TIME, "reportingController": "a.b/c", "reportingInstance": "i",
        "action": "Act", "reason": "Why", "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "note": "hello", "type": "Normal", "series": {"count": 2, "lastObservedTime": TIME},
    });
    let (status, created) = send(&server, "POST", NEW, event).await;
    assert_eq!(status, 201, "{created}");
    let involved = json!({"kind": "Pod", "name": "p", "namespace": "default"});
    let expected = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "eventTime": TIME, "reportingController": "a.b/c",
        "reportingInstance": "i", "action": "Act", "reason": "Why", "regarding": involved, "note": "hello",
        "type": "Normal", "series": {"count": 2, "lastObservedTime": TIME}, "deprecatedSource": {},
        "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null,
    });
    assert_eq!(without_metadata(created), expected);
    let (_, core) = send(&server, "GET", &format!("{CORE}/e1"), Value::Null).await;
    let expected = json!({
        "apiVersion": "v1", "kind": "Event", "involvedObject": involved, "reason": "Why", "message": "hello",
        "source": {}, "firstTimestamp": null, "lastTimestamp": null, "type": "Normal", "eventTime": TIME,
        "series": {"count": 2, "lastObservedTime": TIME}, "action": "Act", "reportingComponent": "a.b/c",
        "reportingInstance": "i",
    });
    assert_eq!(without_metadata(core), expected);

    let patch = json!({"note": "changed"});
    assert_eq!(send(&server, "PATCH", &format!("{NEW}/e1"), patch).await.0, 200);
    let event = json!({
        "metadata": {"name": "e2"}, "involvedObject": involved, "message": "m", "reason": "R", "source": {"component": "c"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 3, "type": "Normal",
    });
    assert_eq!(send(&server, "POST", CORE, event).await.0, 201);
    let (_, list) = send(&server, "GET", &format!("{NEW}?fieldSelector=regarding.name=p"), Value::Null).await;
    let notes: Vec<&Value> =
        list["items"].as_array().expect("items").iter().map(|event| &event["note"]).collect();
    assert_eq!(notes, ["changed", "m"]);
    let new = without_metadata(list["items"][1].clone());
    let expected = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "eventTime": null, "reason": "R", "regarding": involved,
        "note": "m", "type": "Normal", "deprecatedSource": {"component": "c"},
        "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z", "deprecatedLastTimestamp": "2026-01-01T00:00:00Z",
        "deprecatedCount": 3,
    });
    assert_eq!(new, expected);
    let path = format!("{NEW}?fieldSelector=involvedObject.name=p");
    assert_eq!(send(&server, "GET", &path, Value::Null).await.0, 400);
    assert_eq!(send(&server, "DELETE", &format!("{NEW}/e1"), Value::Null).await.0, 200);
    assert_eq!(send(&server, "GET", &format!("{CORE}/e1"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn new_event_without_time_or_type_is_rejected() {
    let server = Server::new(Options::default());
    let (status, body) = send(&server, "POST", NEW, json!({"metadata": {"name": "e"}})).await;
    let causes = body["details"]["causes"].as_array().expect("causes");
    let fields: Vec<&Value> = causes.iter().map(|cause| &cause["field"]).collect();
    assert_eq!((status, fields), (422, vec![&json!("eventTime"), &json!("type")]));
}

#[tokio::test]
async fn recorder_of_kube_rs_writes_events() {
    let server = Server::new(Options::default());
    let client = client(&server);
    let reporter =
        Reporter { controller: "tests.example.io/controller".to_owned(), instance: Some("one".to_owned()) };
    let event = Event {
        type_: EventType::Normal,
        reason: "Started".to_owned(),
        note: Some("it runs".to_owned()),
        action: "Start".to_owned(),
        secondary: None,
    };
    let pod = ObjectReference {
        kind: Some("Pod".to_owned()),
        name: Some("p".to_owned()),
        namespace: Some("default".to_owned()),
        ..ObjectReference::default()
    };
    Recorder::new(client, reporter).publish(&event, &pod).await.expect("publishes");
    let (_, list) = send(&server, "GET", CORE, Value::Null).await;
    assert_eq!(list["items"][0]["message"], "it runs", "{list}");
}
