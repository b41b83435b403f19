//! The lab on a real engine: up, twice, killed, down. `tests/testbed.sh FOLDER` runs it; nothing it makes stays.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A user of their own: home, kubeconfig and state in a temporary folder, the lab taken down when the test ends.
struct User {
    home: tempfile::TempDir,
    lab: String,
}

impl User {
    fn new(lab: &str) -> Self {
        Self { home: tempfile::tempdir().unwrap(), lab: format!("e2e-{lab}-{}", std::process::id()) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshy"));
        command.args(args).args(["--name", &self.lab]);
        command.env("HOME", self.home.path()).env("XDG_STATE_HOME", self.home.path().join("state"));
        command.env_remove("KUBECONFIG").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn must(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "meshy {args:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &stderr
    }

    fn up(&self) -> String {
        self.must(&UP)
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("state/meshy/labs").join(&self.lab)
    }

    fn kubeconfig(&self) -> String {
        fs::read_to_string(self.home.path().join(".kube/config")).unwrap_or_default()
    }

    /// Nothing of the lab is left: containers, volumes, kubeconfig entries, state.
    fn assert_gone(&self) {
        let label = format!("label=io.x-k8s.kind.cluster={}", self.lab);
        assert_eq!(docker(&["ps", "-aq", "--filter", &label]), "");
        let registry = format!("name=private-registry-{}", self.lab);
        assert_eq!(docker(&["ps", "-aq", "--filter", &registry]), "");
        assert_eq!(docker(&["volume", "ls", "-q", "--filter", &registry]), "");
        assert!(!self.kubeconfig().contains(&self.lab));
        assert!(!self.state().exists(), "state is left in {}", self.state().display());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // Also after a failed assertion; its own result tells nothing then.
        let _ = self.run(&["down"]);
    }
}

const UP: [&str; 7] = ["up", "--provider", "kind", "--mesh", "none", "--ingress", "none"];

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn networks() -> String {
    docker(&["network", "ls", "--format", "{{.Name}}"])
}

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

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_lab_comes_up_is_left_alone_by_a_second_up_bounces_and_goes_without_a_trace() {
    let before = networks();
    let user = User::new("story");
    user.up();

    let status: Value = serde_json::from_slice(&user.run(&["status", "-o", "json"]).stdout).unwrap();
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(|n| n["ready"] == true));
    for service in ["minimal-service", "bounced-service"] {
        let found = status["services"].as_array().unwrap().iter().find(|s| s["name"] == service).unwrap();
        assert_eq!((found["ready"].as_i64(), found["wanted"].as_i64()), (Some(1), Some(1)), "{service}");
    }
    assert_eq!(status["missing"].as_array().unwrap().len(), 0, "{status}");

    let begun = Instant::now();
    let again = user.up();
    eprintln!("a second up took {:.1?}", begun.elapsed());
    assert_eq!(again.matches("as they were").count(), 2, "{again}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{again}");

    let mut forward = user.command(&["port-forward", "deploy/minimal-service", "0:9090"]);
    let mut forward = Ended(forward.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(forward.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split(' ').next().unwrap();
    let body = r#"{"rebound":"true","endpoint":"http://bounced-service:9090"}"#;
    let answers = post(address, "/bounce", body, 200);
    let good = answers.iter().filter(|answer| answer.contains("200 OK\"")).count();
    // Binomial: 200 tries at 0.3 fall outside 60 ± 32 once in a million.
    assert!((28..=92).contains(&good), "{good} of 200 bounces were good");

    user.must(&["down"]);
    user.assert_gone();
    assert_eq!(networks(), before);
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_kill_at_any_moment_is_repaired_by_the_next_up_and_removed_by_down() {
    let before = networks();
    let user = User::new("kill");
    let mut seed = u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for round in 0..5 {
        // Within the minute that an `up` takes here; different at each run, and printed.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let moment = Duration::from_millis(200 + (seed >> 33) % 35_000);
        let mut child = user.command(&UP).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!("killed after {moment:.1?}");
        if round % 2 == 0 {
            user.must(&["down"]);
            user.assert_gone();
        }
    }
    user.up();
    assert!(user.run(&["status"]).status.success());
    user.must(&["down"]);
    user.assert_gone();
    assert_eq!(networks(), before);
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn taken_ports_are_found_before_anything_is_made() {
    let user = User::new("ports");
    let taken: Vec<TcpListener> =
        [80, 8443, 5000].into_iter().filter_map(|p| TcpListener::bind(("127.0.0.1", p)).ok()).collect();
    assert!(!taken.is_empty());
    let args = [&UP[..], &["--dry-run", "-o", "json"]].concat();
    let plan: Value = serde_json::from_slice(&user.run(&args).stdout).unwrap();
    assert_eq!((plan["http_port"].as_i64(), plan["https_port"].as_i64()), (Some(8081), Some(8444)), "{plan}");
    assert_eq!(plan["registry_port"], 5001);
    user.assert_gone();
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_dead_engine_is_told_with_what_to_do() {
    let user = User::new("dead");
    let output = user.command(&UP).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("no Docker engine is there") && stderr.contains("hint:"), "{stderr}");
    user.must(&["down"]);
    user.assert_gone();
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_foreign_container_of_the_registrys_name_is_reported_and_left_alone() {
    let user = User::new("foreign");
    let name = format!("private-registry-{}", user.lab);
    docker(&["create", "--name", &name, "registry:2"]);
    let output = user.run(&UP);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    user.must(&["down"]);
    let there = docker(&["ps", "-aq", "--filter", &format!("name={name}")]);
    docker(&["rm", "-f", &name]);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("was not made by meshy"), "{stderr}");
    assert!(!there.is_empty(), "the foreign container is gone");
}
