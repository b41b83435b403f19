//! Text that is meant for a terminal: from API servers, files, archives and recorded runs.

use std::fs;
use std::net::TcpStream;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::home::Home;
use crate::program::{each, run};
use crate::server::{context, head, respond, start};
use crate::tally::{Tally, random};

/// Moves the cursor, sets titles, clears the screen, reorders text, hides a line.
const ODD: [&str; 10] = [
    "\u{1b}[2J",
    "\u{1b}]0;title\u{7}",
    "\u{9b}31m",
    "\u{202e}txt",
    "\r overwritten",
    "\u{8}\u{8}",
    "\u{2066}a",
    "\u{0}",
    "\u{1b}]8;;http://x\u{1b}\\link",
    "\u{200f}",
];

fn odd(random: &mut StdRng) -> String {
    format!("x{}y{}", ODD[random.random_range(0..ODD.len())], ODD[random.random_range(0..ODD.len())])
}

/// Puts odd text into every text of a value that is not needed to find the object.
fn poison(value: &mut Value, random: &mut StdRng) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if !["kind", "apiVersion", "gitVersion", "groupVersion", "verbs", "group", "version", "name"]
                    .contains(&name.as_str())
                {
                    poison(field, random);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, random)),
        Value::String(text) => *text = odd(random),
        _ => {}
    }
}

/// What the server sends for a path: a list with an object that is odd everywhere.
fn object(path: &str, odd: &str) -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list", "watch", "patch", "create", "delete"]});
    let path = path.split('?').next().unwrap_or(path);
    let list = |version: &str, resources: Value| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources});
    match path {
        "/version" => {
            json!({"major": "1", "minor": "35", "gitVersion": format!("v1.35.0{odd}"), "platform": odd})
        }
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [
            {"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}], "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}},
            {"name": "linkerd.io", "versions": [{"groupVersion": "linkerd.io/v1alpha2", "version": "v1alpha2"}], "preferredVersion": {"groupVersion": "linkerd.io/v1alpha2", "version": "v1alpha2"}}]}),
        "/api/v1" => list(
            "v1",
            json!([
                resource("pods", "Pod", true),
                resource("services", "Service", true),
                resource("namespaces", "Namespace", false),
                resource("nodes", "Node", false)
            ]),
        ),
        "/apis/apps/v1" => list("apps/v1", json!([resource("deployments", "Deployment", true)])),
        "/apis/linkerd.io/v1alpha2" => {
            list("linkerd.io/v1alpha2", json!([resource("serviceprofiles", "ServiceProfile", true)]))
        }
        path if path.ends_with("/web") => item(path, odd),
        path => {
            json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [item(path, odd)]})
        }
    }
}

fn item(path: &str, odd: &str) -> Value {
    let metadata = json!({"name": format!("web{odd}"), "namespace": format!("default{odd}"), "uid": odd,
        "labels": {"app": odd}, "annotations": {"linkerd.io/inject": format!("enabled{odd}"), "config.linkerd.io/proxy-log-level": odd, "retry.linkerd.io/http": odd}});
    match path.rsplit('/').next().unwrap_or_default() {
        "serviceprofiles" => json!({"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": {"name": format!("web.default.svc.cluster.local{odd}"), "namespace": "default"},
            "spec": {"routes": [{"name": odd, "condition": {"method": odd, "pathRegex": format!("({odd}")}, "isRetryable": true, "timeout": odd}], "retryBudget": {"ttl": odd}}}),
        "nodes" => {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"nodeInfo": {"kubeletVersion": odd},
            "conditions": [{"type": "Ready", "status": "False", "reason": odd, "message": odd}]}})
        }
        "services" => {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": {"app": odd}, "ports": [{"name": odd, "port": 80}]}})
        }
        "deployments" | "web" => {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1,
            "selector": {"matchLabels": {"app": odd}}, "template": {"metadata": metadata, "spec": {"containers": [{"name": odd, "image": odd}]}}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": odd, "message": odd}]}})
        }
        _ => {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "linkerd-proxy", "image": odd}, {"name": odd, "image": odd}]},
            "status": {"phase": "Running", "podIP": odd, "reason": odd, "message": odd, "containerStatuses": [{"name": "linkerd-proxy", "image": odd, "imageID": odd, "ready": false, "restartCount": 1,
            "state": {"waiting": {"reason": format!("CrashLoopBackOff{odd}"), "message": odd}}}]}})
        }
    }
}

fn serve(mut stream: TcpStream, respond_to: &dyn Fn(&str) -> (u16, String)) {
    while let Some(line) = head(&mut stream) {
        let (status, body) = respond_to(line.split(' ').nth(1).unwrap_or("/"));
        if respond(&mut stream, status, &body).is_err() {
            return;
        }
    }
}

/// Those that print the most of what they read.
const TALKATIVE: [&str; 8] =
    ["stat", "lint", "check", "sp show", "inject deploy/web", "routes", "status", "deploy"];

/// All others that talk to a cluster.
const OTHERS: [&str; 33] = [
    "check --certs",
    "dashboard --no-open",
    "deploy --delete",
    "fault",
    "fault 70",
    "graph --window 0s",
    "inject --all",
    "inject --explain web-1",
    "inject --remove --all",
    "install linkerd",
    "outcomes --window 0s",
    "policy apply bounced-service-sp.yaml",
    "policy breakers web",
    "policy delete sp/web",
    "policy migrate web",
    "policy show web",
    "port-forward svc/web 0:80",
    "predict --from-cluster",
    "retry apply",
    "retry delete",
    "retry show",
    "run retries --fast",
    "sp apply",
    "sp delete",
    "split apply",
    "split delete",
    "split show",
    "start",
    "stop",
    "sweep rps 2 --measured",
    "traffic --cleanup",
    "traffic --duration 1s --url http://web.default.svc:80/",
    "up",
];

#[test]
fn text_of_api_servers() {
    let (tally, mut random) = (Tally::new("text of API servers", 114), random("text"));
    let home = Home::new();
    let mut cases = Vec::new();
    let rounds = TALKATIVE.map(|command| (command, 3)).into_iter().chain(OTHERS.map(|command| (command, 1)));
    for (command, rounds) in rounds {
        for _ in 0..rounds {
            let odd = odd(&mut random);
            let text = odd.clone();
            let objects = start(move |stream| serve(stream, &|path| (200, object(path, &text).to_string())));
            cases.push((
                format!("{command} {}", context(home.path(), &objects, "token: t")),
                format!("{command}, objects with {odd:?}"),
            ));
            let mut status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "reason": "", "details": {"causes": [{"message": "", "field": ""}]}});
            poison(&mut status, &mut random);
            let code = [403u16, 404, 409, 422, 500, 503][random.random_range(0..6)];
            status["code"] = code.into();
            let (body, shown) = (status.to_string(), format!("{command}, status {code} with {odd:?}"));
            let failing = start(move |stream| serve(stream, &|_| (code, body.clone())));
            cases.push((format!("{command} {}", context(home.path(), &failing, "token: t")), shown));
        }
    }
    each(cases, |(line, name)| tally.add("S-D7", name, run(home.command(&line)).faults()));
    tally.end();
}

#[test]
fn text_of_files() {
    let (tally, mut random) = (Tally::new("text of files", 50), random("files"));
    let home = Home::new();
    let mut cases: Vec<(String, String)> = Vec::new();
    for number in 0..10 {
        let odd = odd(&mut random).replace('\0', "\u{1}");
        let quoted = serde_json::to_string(&odd).expect("text");
        let folder = home.path().join(format!("files-{number}"));
        fs::create_dir(&folder).expect("a folder");
        let file = |name: &str, text: String| {
            fs::write(folder.join(name), text).expect("a file");
            format!("files-{number}/{name}")
        };
        let profile = file(
            "profile.yaml",
            format!(
                "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {{name: {quoted}, namespace: {quoted}}}\n\
                     spec: {{{quoted}: 1, routes: [{{name: {quoted}, condition: {{pathRegex: {quoted}, method: {quoted}}}}}]}}\n"
            ),
        );
        let kind = file(
            "kind.yaml",
            format!("apiVersion: {quoted}\nkind: {quoted}\nmetadata: {{name: {quoted}}}\n"),
        );
        let broken = file("broken.yaml", format!("a: [{quoted}\nb: {odd}\n"));
        let run = file(
            "run.json",
            json!({"version": 99, "id": odd, "command": odd, "steps": [{"name": odd}]}).to_string(),
        );
        file("kustomization.yaml", format!("resources: [{quoted}]\n{quoted}: 1\n"));
        let kubeconfig = file(
            "kubeconfig",
            format!(
                "contexts: [{{name: {quoted}, context: {{cluster: {quoted}, user: {quoted}}}}}]\ncurrent-context: {quoted}\n"
            ),
        );
        for line in [
            format!("lint {profile}"),
            format!("lint {kind}"),
            format!("lint {broken}"),
            format!("sp apply ./{profile} --context a --kubeconfig {kubeconfig}"),
            format!("explain ./{run}"),
            format!("build ./files-{number}"),
            format!("stat --context a --kubeconfig {kubeconfig}"),
            format!(
                "lint --context {} --kubeconfig {kubeconfig}",
                odd.split_whitespace().next().unwrap_or("x")
            ),
        ] {
            let name = format!("{}, {odd:?}", line.split(' ').next().unwrap_or_default());
            cases.push((line, name));
        }
    }
    each(cases, |(line, name)| tally.add("S-D7", name, run(home.command(&line)).faults()));
    tally.end();
}
