//! The dashboard of a lab, as a viewer uses it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::home::{Home, signal};

/// Sends a request to the page and returns the whole response.
fn request(address: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the page");
    let length = body.len();
    let text = format!(
        "{head}\r\nHost: {address}\r\nOrigin: http://{address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close"
    );
    let (first, rest) = text.split_once("\r\n").expect("lines");
    let (first, cookie) = first.split_once('|').unwrap_or((first, "x=y"));
    write!(stream, "{first}\r\n{rest}\r\nCookie: {cookie}\r\n\r\n{body}").expect("a request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    response
}

#[test]
fn the_events_of_the_dashboard_have_those_of_its_own_load() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject");
    let events = home.path().join("events");
    let mut command = home.command(&format!("dashboard --no-open --events {}", events.display()));
    let mut page = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut url = String::new();
    BufReader::new(page.stdout.take().expect("stdout")).read_line(&mut url).expect("the address");
    let (address, query) =
        url.trim().strip_prefix("http://").and_then(|url| url.split_once('/')).expect("an address");

    let opened = request(address, &format!("GET /{query} HTTP/1.1"), "");
    let cookie = opened.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    let cookie = cookie.split(';').next().expect("its value");
    let done = request(address, &format!("POST /do HTTP/1.1|{cookie}"), r#"{"do": "load", "rate": 40}"#);
    assert!(done.starts_with("HTTP/1.1 204"), "{done}");
    let read = || -> Vec<Value> {
        let text = fs::read_to_string(&events).unwrap_or_default();
        // The last line may not be whole yet.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let until = Instant::now() + Duration::from_secs(20);
    while !read().iter().any(|event| event["load"]["requests"].as_u64().is_some_and(|count| count > 20)) {
        assert!(Instant::now() < until, "no tick has the load: {:?}", read().last());
        std::thread::sleep(Duration::from_millis(100));
    }
    signal(page.id(), Signal::INT);
    assert!(page.wait().expect("its end").success());

    let runs = home.path().join(".local/state/meshy/runs");
    let file = fs::read_dir(runs).expect("the runs").flatten().map(|file| file.path());
    let file = file.filter(|file| file.extension().is_some_and(|end| end == "jsonl")).max().expect("a run");
    let recorded = fs::read_to_string(file).expect("the run");
    let recorded: Vec<Value> =
        recorded.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let emitted: Vec<Value> = read().into_iter().filter(|event| recorded.contains(event)).collect();
    assert_eq!(emitted, recorded, "each event of the run, in its order");
}
