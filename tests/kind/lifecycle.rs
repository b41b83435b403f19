//! The whole life of a lab: up, a second up that is none, requests, down.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::user::{User, docker, networks};

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Posts the same body a number of times over one connection, as each connection costs the kubelet a second; gives the
/// answers' bodies.
fn post(address: &str, path: &str, body: &str, times: usize) -> Vec<String> {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = |_| {
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap();
                }
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    };
    (0..times).map(answer).collect()
}

/// Pushes the registry's own image both ways; a node pulls what came of it.
fn images_come_from_the_engine_and_from_a_file(user: &User) {
    let record: Value = serde_json::from_slice(&fs::read(user.state().join("lab.json")).unwrap()).unwrap();
    let port = &record["registry_port"];
    let file = user.home.path().join("image.tar");
    docker(&["save", "registry:2", "-o", file.to_str().unwrap()]);
    let push = |from: &str, to: &str| -> Value {
        let output = user.run(&["push", from, "--as", to, "-o", "json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (first, second) = (push("registry:2", "pushed:1"), push(file.to_str().unwrap(), "pushed:2"));
    assert_eq!(first["digest"], second["digest"]);
    assert!(second["sent"].as_u64() < Some(64 << 10), "layers that were there went again: {second}");
    for tag in ["pushed:1", "pushed:2"] {
        let image = format!("localhost:{port}/{tag}");
        let worker = format!("{}-worker", user.lab);
        let hosts = ["images", "pull", "--hosts-dir", "/etc/containerd/certs.d"];
        docker(&[&["exec", &worker, "ctr", "-n", "k8s.io"][..], &hosts, &[&image]].concat());
    }
}

/// Ports of the lab's containers are reached from this machine and from nowhere else.
fn published_to_loopback_only(user: &User) {
    let of_the_lab = format!("label=io.x-k8s.kind.cluster={}", user.lab);
    let nodes = docker(&["ps", "--quiet", "--filter", &of_the_lab]);
    let registry = format!("private-registry-{}", user.lab);
    let mut published = 0;
    for container in nodes.lines().chain([registry.as_str()]) {
        let format = "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}}:{{.HostPort}} {{end}}{{end}}";
        for port in docker(&["inspect", "--format", format, container]).split_whitespace() {
            assert!(port.starts_with("127.0.0.1:"), "{container} publishes {port}");
            published += 1;
        }
    }
    assert!(published >= 2, "the API and the registry: {published}");
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_lab_comes_up_is_left_alone_by_a_second_up_bounces_and_goes_without_a_trace() {
    let before = networks();
    let user = User::new("lifecycle");
    user.up();

    published_to_loopback_only(&user);
    let status = user.well();
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(|n| n["ready"] == true));
    for service in ["minimal-service", "bounced-service"] {
        let found = status["services"].as_array().unwrap().iter().find(|s| s["name"] == service).unwrap();
        assert_eq!((found["ready"].as_i64(), found["wanted"].as_i64()), (Some(1), Some(1)), "{service}");
    }
    assert_eq!(status["missing"].as_array().unwrap().len(), 0, "{status}");

    // Without flags it goes on with what the first one was configured with.
    let begun = Instant::now();
    let again = user.must(&["up"]);
    eprintln!("a second up took {:.1?}", begun.elapsed());
    assert_eq!(again.matches("unchanged").count(), 2, "{again}");
    assert!(!again.contains("Linkerd") && !again.contains("ingress-nginx"), "{again}");
    // 3 s where nothing else runs; the suite may share its machine with builds.
    assert!(begun.elapsed() < Duration::from_secs(6), "{again}");
    let other = user.run(&["up", "--workers", "1"]);
    assert_eq!(other.status.code(), Some(2), "{}", String::from_utf8_lossy(&other.stderr));

    let mut forward = user.command(&["port-forward", "deploy/minimal-service", "0:9090"]);
    let mut forward = Ended(forward.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(forward.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split(' ').next().unwrap();
    let body = r#"{"rebound":"true","endpoint":"http://bounced-service:9090"}"#;
    let answers = post(address, "/bounce", body, 200);
    let good = answers.iter().filter(|answer| answer.contains("200 OK\"")).count();
    // Binomial: 200 attempts at 0.3 fall outside 60 ± 32 once in a million.
    assert!((28..=92).contains(&good), "{good} of 200 bounces were good");

    images_come_from_the_engine_and_from_a_file(&user);
    user.must(&["deploy", "--delete", "bounced-service"]);
    let status: Value = serde_json::from_slice(&user.run(&["status", "-o", "json"]).stdout).unwrap();
    let names: Vec<&str> =
        status["services"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    assert!(names.contains(&"minimal-service") && !names.contains(&"bounced-service"), "{names:?}");

    user.must(&["down"]);
    user.assert_gone();
    assert_eq!(networks(), before);
}
