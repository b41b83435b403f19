//! Every command against API servers that fail in every way: each failure is an error that names the server, and never
//! "there is nothing".

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[path = "support/fake_api.rs"]
mod fake_api;
#[path = "support/home.rs"]
mod home;

use fake_api::{CONTEXT, FakeApi, Mode};
use home::Home;

/// Commands that read a cluster.
const READ: [&str; 21] = [
    "check --certs",
    "check",
    "outcomes --window 0s",
    "fault",
    "inject --explain web-1",
    "lint",
    "port-forward deploy/web 0:80",
    "port-forward svc/web 0:80",
    "predict --from-cluster",
    "retry show",
    "routes --window 0s",
    "sp show",
    "split show",
    "stat --window 0s",
    "stat svc --window 0s",
    "traffic --duration 1s --url http://web.default.svc:80/",
    "traffic --duration 1s --url http://web.default:80/",
    "graph --window 0s",
    "policy breakers web",
    "policy migrate web",
    "policy show web",
];

/// Commands that change a cluster.
const CHANGE: [&str; 17] = [
    "deploy",
    "fault 70",
    "inject",
    "inject --all",
    "inject deploy/web",
    "retry apply",
    "retry delete",
    "sp apply",
    "sp delete",
    "split apply",
    "split delete",
    "deploy --delete",
    "inject --remove --all",
    "up --image registry.example/web:1",
    "policy apply bounced-service-sp.yaml",
    "policy delete sp/web",
    "traffic --cleanup",
];

/// Commands that act on the lab of a record.
const LAB: [&str; 5] = [
    "down",
    "down --dry-run",
    "status",
    "traffic --duration 1s --url http://web.default.svc:80/",
    "up --image registry.example/web:1",
];

/// What a command says that takes a failure for an absence.
const FALSE: [&str; 9] = [
    "nothing found",
    "nothing was",
    "there is no ",
    "there are no ",
    "there was no ",
    "no Linkerd here",
    "has no ",
    "0 objects",
    "serves no ",
];

/// How long a command may wait for a server that does not finish its response, before the test ends it.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How a command ended.
struct Ended {
    /// None for one that was still waiting and was ended.
    code: Option<i32>,
    said: String,
}

/// Runs a command, for an endless mode at most for [`TIMEOUT`].
fn run(home: &Home, line: &str, endless: bool) -> Ended {
    let mut command = home.command(line);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let begun = Instant::now();
    while endless && begun.elapsed() < TIMEOUT && child.try_wait().expect("a state").is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    if endless {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("its output");
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).join("");
    Ended { code: output.status.code(), said }
}

/// Whether the output names the server, by its address or by the context that leads to it.
fn names(ended: &Ended, fake: &FakeApi) -> bool {
    ended.said.contains(&fake.address())
        || ended.said.contains(&format!("the API server of context `{CONTEXT}`"))
}

/// What is wrong with how a command ended; none for an error that names the server.
fn evaluate(ended: &Ended, fake: &FakeApi) -> Option<String> {
    if let Some(text) = FALSE.iter().find(|text| ended.said.contains(**text)) {
        return Some(format!("says `{text}`"));
    }
    if ["Status {", "ApiError", "ServiceError"].iter().any(|text| ended.said.contains(text)) {
        return Some("prints Rust types".to_owned());
    }
    match ended.code {
        Some(1 | 3) if !names(ended, fake) => Some("does not name the server".to_owned()),
        // It was still waiting, or its time was over.
        None | Some(1 | 3 | 4) => None,
        Some(code) => Some(format!("exit {code}")),
    }
}

/// A lab on a cluster that others made, whose context leads to the server.
fn write_lab(home: &Home, name: &str, kubeconfig: &Path) {
    let folder = home.lab(name);
    fs::create_dir_all(&folder).expect("a folder");
    let record = serde_json::json!({
        "name": name, "provider": "existing", "context": CONTEXT, "kubeconfig": kubeconfig, "made": true,
    });
    fs::write(folder.join("lab.json"), record.to_string()).expect("a record");
}

/// Runs each command against a server in each mode, several at the same time. Returns the cells that are wrong.
fn table(modes: &[Mode], timeout: &str) -> Vec<String> {
    let home = Home::new();
    let mut cells = Vec::new();
    for (number, mode) in modes.iter().enumerate() {
        let fake = Arc::new(FakeApi::start(mode.clone()));
        let kubeconfig = fake.kubeconfig(home.path());
        let flags =
            format!("--timeout {timeout} --yes --kubeconfig {} --context {CONTEXT}", kubeconfig.display());
        let of_context = READ.iter().chain(&CHANGE).map(|line| format!("{flags} --name c{number} {line}"));
        let of_lab = LAB.iter().enumerate().map(|(at, line)| {
            let name = format!("l{number}-{at}");
            write_lab(&home, &name, &kubeconfig);
            format!("--timeout {timeout} --yes --name {name} {line}")
        });
        cells.extend(of_context.chain(of_lab).map(|line| (fake.clone(), mode, line)));
    }
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((fake, mode, line)) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let ended = run(&home, line, Mode::ENDLESS.contains(mode));
                    if let Some(why) = evaluate(&ended, fake) {
                        let command = line.split_once("--name").map_or(line.as_str(), |(_, rest)| rest);
                        let said = ended.said.trim().replace('\n', "\n    ");
                        let cell = format!("{mode:?}: {command}: {why} (exit {:?})\n    {said}", ended.code);
                        wrong.lock().expect("no panic while held").push(cell);
                    }
                }
            });
        }
    });
    eprintln!("{} cells", cells.len());
    // Nothing runs for these labs.
    fs::remove_dir_all(home.lab("l0-0").parent().expect("the labs")).expect("the records are removed");
    let mut wrong = wrong.into_inner().expect("no panic while held");
    wrong.sort();
    wrong
}

#[test]
fn every_command_fails_when_the_api_server_fails_at_once() {
    let wrong = table(&Mode::FAST, "10s");
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_command_succeeds_while_the_api_server_does_not_finish_a_response() {
    let wrong = table(&Mode::ENDLESS, "1s");
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_kind_whose_group_fails_is_an_error_although_the_rest_of_the_api_works() {
    // All of discovery works but that of Linkerd's group: a lint without the profiles would be a false one.
    let home = Home::new();
    let fake = FakeApi::by_path(|path| {
        let json = |value: serde_json::Value| Mode::Json(200, value.to_string());
        let plural = |kind: &str| format!("{}s", kind.to_lowercase());
        let served = |version: &str, kinds: &[&str]| {
            let each = kinds.iter().map(|kind| {
                serde_json::json!({"name": plural(kind), "kind": kind, "namespaced": true, "singularName": "", "verbs": ["list"]})
            });
            let all: Vec<_> = each.collect();
            json(serde_json::json!({"kind": "APIResourceList", "groupVersion": version, "resources": all}))
        };
        match path.split('?').next().unwrap_or_default() {
            "/api/v1" => served("v1", &["Service", "Namespace", "Pod"]),
            "/apis/apps/v1" => served("apps/v1", &["Deployment", "StatefulSet", "DaemonSet"]),
            "/apis/networking.k8s.io/v1" => served("networking.k8s.io/v1", &["Ingress"]),
            "/apis/gateway.networking.k8s.io/v1" => Mode::NotFoundText,
            "/apis" => json(serde_json::json!({"kind": "APIGroupList", "groups": []})),
            "/apis/linkerd.io/v1alpha2" => Mode::ServerError,
            _ => json(serde_json::json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []})),
        }
    });
    let kubeconfig = fake.kubeconfig(home.path());
    let output = home.run(&format!("lint --kubeconfig {} --context {CONTEXT}", kubeconfig.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot read which kinds are in `linkerd.io/v1alpha2`"), "{said}");
    let requests = fake.requests();
    assert!(requests.iter().any(|request| request == "GET /apis/linkerd.io/v1alpha2"), "{requests:?}");
}
