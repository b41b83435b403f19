//! Large bodies: the processor time, the memory and the response are bounded. kube-apiserver and this server accept 3 MiB;
//! the test sends 1 MiB, because it runs without optimization.

use std::fmt::Write as _;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use meshy_apiserver::{Options, Server};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Maximum size of a body in bytes.
const BODY: usize = 1 << 20;
/// Maximum processor time of a request in this profile, which is about ten times slower than a release. Measured: up to
/// 1.5 s; with the quadratic algorithms of earlier versions more than 15 s.
const PROCESSOR_TIME: Duration = Duration::from_secs(6);
/// Maximum memory in KiB that a request needs in addition, together with the stored object.
const MEMORY: u64 = 128 * 1024;
/// Maximum size of an error in bytes.
const ERROR: usize = 300 * 1024;

/// Returns as many items as fit into a body, separated by commas.
fn fill(item: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(BODY);
    for number in 0.. {
        let item = item(number);
        if text.len() + item.len() > BODY - 1024 {
            break;
        }
        let _ = write!(text, "{}{item}", if number == 0 { "" } else { "," });
    }
    text
}

fn config_map(name: &str, metadata: &str, rest: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"{metadata}}}{rest}}}"#)
}

/// The processor time of this process.
fn processor_time() -> Duration {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task").expect("the threads").flatten() {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        total += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
    }
    Duration::from_nanos(total)
}

/// A line of `/proc/self/status` in KiB.
fn memory(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("the status");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
}

/// One request and what it needed.
struct Sent {
    status: u16,
    warnings: Vec<String>,
    size: usize,
    time: Duration,
    memory: u64,
}

async fn send(server: &Server, method: &str, path: &str, content: &str, body: String) -> Sent {
    // Resets the peak of the resident memory.
    std::fs::write("/proc/self/clear_refs", "5").expect("resets the peak");
    let before = memory("VmRSS:");
    let start = processor_time();
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    let request = request.body(Full::new(bytes::Bytes::from(body))).expect("a request");
    let response = tower::ServiceExt::oneshot(server.service(), request).await.expect("a response");
    let (head, body) = response.into_parts();
    let warnings = head.headers.get_all("warning").iter();
    let warnings = warnings.map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned()).collect();
    let size = body.collect().await.expect("a body").to_bytes().len();
    Sent {
        status: head.status.as_u16(),
        warnings,
        size,
        time: processor_time().saturating_sub(start),
        memory: memory("VmHWM:").saturating_sub(before),
    }
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn requests() -> Vec<(&'static str, u16, &'static str, String, &'static str, String)> {
    let labels = fill(|n| format!(r#""_{n}":"_bad""#));
    let finalizers = fill(|n| format!(r#""a.io/{n}""#));
    let half = fill(|n| format!(r#""a.io/{n}""#))[..BODY / 2].rsplit_once(',').expect("items").0.to_owned();
    let keys = fill(|n| format!(r#""k{n}":"v""#));
    let other_keys = fill(|n| format!(r#""k{n}":"w""#));
    let ports = fill(|n| format!(r#"{{"name":"p{n}","port":{}}}"#, n % 65_535 + 1));
    let containers = fill(|n| {
        format!(
            r#"{{"name":"c{n}","image":"i","ports":[{{"containerPort":80}}],"volumeMounts":[{{"name":"v{n}","mountPath":"/"}}]}}"#
        )
    });
    let duplicates = fill(|_| r#""x":"y""#.to_owned());
    let unknown = fill(|n| format!(r#""u{n}":1"#));
    let operations = fill(|n| format!(r#"{{"op":"test","u{n}":1}}"#));
    let long = "x".repeat(BODY - 1024);
    let map = |name: &str, metadata: &str, rest: &str| config_map(name, metadata, rest);
    let item = |name: &str, query: &str| format!("{MAPS}/{name}{query}");
    vec![
        (
            "invalid labels",
            422,
            "POST",
            MAPS.into(),
            JSON,
            map("a", &format!(r#","labels":{{{labels}}}"#), ""),
        ),
        (
            "a long label",
            422,
            "POST",
            MAPS.into(),
            JSON,
            map("a", &format!(r#","labels":{{"{long}":""}}"#), ""),
        ),
        ("a long name", 422, "POST", MAPS.into(), JSON, map(&long, "", "")),
        (
            "finalizers",
            201,
            "POST",
            MAPS.into(),
            JSON,
            map("f", &format!(r#","finalizers":[{finalizers}]"#), ""),
        ),
        (
            "fewer finalizers",
            200,
            "PUT",
            item("f", ""),
            JSON,
            map("f", &format!(r#","finalizers":[{half}]"#), ""),
        ),
        (
            "merged finalizers",
            200,
            "PATCH",
            item("f", ""),
            STRATEGIC,
            format!(r#"{{"metadata":{{"finalizers":[{finalizers}]}}}}"#),
        ),
        (
            "applied finalizers",
            201,
            "PATCH",
            item("g", "?fieldManager=one"),
            APPLY,
            map("g", &format!(r#","finalizers":[{finalizers}]"#), ""),
        ),
        (
            "fewer applied finalizers",
            200,
            "PATCH",
            item("g", "?fieldManager=one"),
            APPLY,
            map("g", &format!(r#","finalizers":[{half}]"#), ""),
        ),
        (
            "applied keys",
            201,
            "PATCH",
            item("k", "?fieldManager=one"),
            APPLY,
            map("k", "", &format!(r#","data":{{{keys}}}"#)),
        ),
        (
            "conflicting keys",
            409,
            "PATCH",
            item("k", "?fieldManager=two"),
            APPLY,
            map("k", "", &format!(r#","data":{{{other_keys}}}"#)),
        ),
        (
            "removed keys",
            200,
            "PATCH",
            item("k", ""),
            MERGE,
            format!(r#"{{"data":{{{}}}}}"#, fill(|n| format!(r#""k{n}":null"#))),
        ),
        (
            "repeated keys",
            201,
            "POST",
            MAPS.into(),
            JSON,
            map("d", "", &format!(r#","data":{{{duplicates}}}"#)),
        ),
        ("unknown fields", 201, "POST", MAPS.into(), JSON, map("u", "", &format!(",{unknown}"))),
        (
            "unknown fields, strict",
            400,
            "POST",
            format!("{MAPS}?fieldValidation=Strict"),
            JSON,
            map("w", "", &format!(",{unknown}")),
        ),
        (
            "unknown applied fields",
            500,
            "PATCH",
            item("w", "?fieldManager=one"),
            APPLY,
            map("w", "", &format!(",{unknown}")),
        ),
        ("JSON patch", 413, "PATCH", item("d", ""), "application/json-patch+json", format!("[{operations}]")),
        (
            "ports of a Service",
            201,
            "POST",
            SERVICES.into(),
            JSON,
            format!(
                r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"s"}},"spec":{{"ports":[{ports}]}}}}"#
            ),
        ),
        (
            "containers of a Pod",
            422,
            "POST",
            PODS.into(),
            JSON,
            format!(
                r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p"}},"spec":{{"containers":[{containers}]}}}}"#
            ),
        ),
    ]
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn large_bodies_need_bounded_time_memory_and_responses() {
    let server = Server::new(Options::default());
    let mut wrong = Vec::new();
    for (what, status, method, path, content, body) in requests() {
        let sent = send(&server, method, &path, content, body).await;
        let warnings: usize = sent.warnings.iter().map(String::len).sum();
        let summary = format!(
            "{what}: status {}, {:?}, {} KiB of memory, {} bytes, {} warnings of {warnings} bytes",
            sent.status,
            sent.time,
            sent.memory,
            sent.size,
            sent.warnings.len()
        );
        eprintln!("{summary}");
        let is_error = status >= 400;
        if sent.status != status
            || sent.time > PROCESSOR_TIME
            || sent.memory > MEMORY
            || (is_error && sent.size > ERROR)
            || sent.warnings.len() > 64
            || warnings > 16 * 1024
        {
            wrong.push(summary);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
