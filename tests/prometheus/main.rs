//! Tables from a Prometheus that scrapes the proxies of a lab.

mod discover;
#[path = "../support/home.rs"]
mod home;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use home::Home;
use serde_json::Value;

/// How long a scrape is waited for: long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

fn lab() -> Home {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject");
    home
}

fn json(home: &Home, line: &str) -> Value {
    serde_json::from_str(&home.good(&format!("{line} -o json"))).expect("one JSON document")
}

/// Runs a line that must fail and returns its exit status and stderr.
fn failed(home: &Home, line: &str) -> (Option<i32>, String) {
    let output = home.run(line);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A server that sends each request the response of a Prometheus without series. Returns its URL.
fn empty_prometheus() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

#[test]
fn a_prometheus_that_cannot_be_used_is_an_error_with_a_hint() {
    let home = lab();
    let empty = empty_prometheus();
    for table in ["stat", "routes bounced-service", "graph"] {
        let (status, text) = failed(&home, &format!("{table} --prometheus http://127.0.0.1:1"));
        assert_eq!(status, Some(3), "{text}");
        assert!(text.contains("error: cannot query the Prometheus at http://127.0.0.1:1"), "{text}");
        assert!(text.contains("cause: ") && text.contains("hint: `--prometheus` is the URL"), "{text}");
        let (status, text) = failed(&home, &format!("{table} --prometheus {empty}"));
        assert_eq!(status, Some(3), "{text}");
        assert!(text.contains("has no series of Linkerd's proxies"), "{text}");
        assert!(text.contains("hint: `meshy export prometheus` prints a scrape configuration"), "{text}");
        let (status, text) = failed(&home, &format!("{table} --prometheus 127.0.0.1:9090"));
        assert_eq!(status, Some(2), "{text}");
        assert!(text.contains("expected a URL such as http://127.0.0.1:9090"), "{text}");
    }
}

#[test]
fn a_scrape_configuration_is_printed_or_written_with_the_credentials_of_the_lab() {
    let home = Home::new();
    let (status, text) = failed(&home, "export prometheus");
    assert_eq!(status, Some(3), "{text}");
    home.good("up --provider embedded");
    home.good("inject");
    let printed = home.good("export prometheus");
    assert!(printed.contains("static_configs") && printed.contains("credentials_file: token"), "{printed}");
    assert!(home.good("export prometheus --discover").contains("kubernetes_sd_configs"));
    home.good("export prometheus config");
    let folder = home.path().join("config");
    assert_eq!(fs::read_to_string(folder.join("prometheus.yml")).expect("a file"), printed);
    let mode = fs::metadata(folder.join("token")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o077, 0, "others can read the token");
}

/// A Prometheus of this machine; ended with the test.
struct Running {
    child: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts the program with the exported configuration, which scrapes each second.
    fn start(folder: &Path) -> Self {
        let file = folder.join("prometheus.yml");
        let text = fs::read_to_string(&file).expect("a configuration");
        let text = text.replace("scrape_interval: 5s", "scrape_interval: 1s");
        fs::write(&file, text).expect("a file");
        // Free a moment ago.
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).expect("a file"))
            .spawn()
            .expect("prometheus is installed");
        Self { child, url: format!("http://{address}") }
    }
}

/// The requests that minimal-service has sent to bounced-service.
fn calls(home: &Home, flags: &str) -> Option<u64> {
    let output = home.run(&format!("graph {flags} -o json"));
    let graph: Value = serde_json::from_slice(&output.stdout).ok()?;
    let edges = graph["edges"].as_array()?.iter();
    let counts =
        edges.filter(|edge| edge["to"] == "bounced-service").map(|edge| edge["requests_count"].as_u64());
    Some(counts.flatten().sum())
}

fn wait_for(home: &Home, flags: &str, requests: u64) {
    let begun = Instant::now();
    loop {
        let found = calls(home, flags);
        if found == Some(requests) {
            return;
        }
        assert!(
            begun.elapsed() < TIMEOUT,
            "{found:?} requests instead of {requests}: {:?}",
            home.run(&format!("graph {flags}"))
        );
        sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "needs prometheus"]
fn a_prometheus_has_the_counts_of_the_proxies() {
    let home = lab();
    home.good("export prometheus config");
    let prometheus = Running::start(&home.path().join("config"));
    let since_start = format!("--prometheus {} --window 0s", prometheus.url);
    home.good("traffic 2s --rate 10");
    wait_for(&home, &since_start, 20);
    let first = Instant::now();
    // The middle of this pause is the beginning of the window below.
    sleep(Duration::from_secs(20));
    home.good("traffic 2s --rate 15");
    wait_for(&home, &since_start, 50);
    let window = first.elapsed().saturating_sub(Duration::from_secs(10)).as_secs();
    assert_eq!(calls(&home, &format!("--prometheus {} --window {window}s", prometheus.url)), Some(30));

    // The same numbers as the proxies report themselves.
    let ours = json(&home, "routes bounced-service --window 0s");
    let theirs = json(&home, &format!("routes bounced-service {since_start}"));
    assert_eq!(ours["rows"], theirs["rows"]);
    assert_eq!(theirs["source"]["of"], "prometheus");
    let ours = json(&home, "stat --window 0s");
    let theirs = json(&home, &format!("stat {since_start}"));
    let counts = |document: &Value| -> Vec<(Value, Value)> {
        let rows = document["rows"].as_array().expect("rows").iter();
        rows.map(|row| (row["name"].clone(), row["responses_count"].clone())).collect()
    };
    assert_eq!(counts(&ours), counts(&theirs));

    let (status, text) = failed(&home, &format!("stat --prometheus {} --window 1h", prometheus.url));
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("`namespace` and `pod` 3600 s ago"), "{text}");
}
