//! A Docker engine that misbehaves: never a panic or a hang, and the message says engine.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::home::Home;

/// What a sick engine does with a connection.
type EngineFault = fn(UnixStream);

fn answer(mut stream: UnixStream, text: &str) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let _ = stream.write_all(text.as_bytes());
}

const ENGINE_FAULTS: &[(&str, EngineFault)] = &[
    ("hangs up", drop),
    ("answers 500", |s| {
        answer(s, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}");
    }),
    ("answers garbage", |s| answer(s, "\u{1}\u{2}garbage\r\n\r\n")),
    ("answers JSON that is none", |s| answer(s, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{]}")),
    ("stops half way", |s| answer(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"Ver")),
    ("never answers", |mut s| {
        // Until the other side has had enough.
        let _ = s.read_to_end(&mut Vec::new());
    }),
];

#[test]
fn an_engine_that_fails_is_reported_as_unhealthy_and_in_time() {
    for (what, illness) in ENGINE_FAULTS {
        let home = Home::new();
        let socket = home.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || illness(stream));
            }
        });
        let begun = Instant::now();
        let mut command = home.command("up --provider kind");
        let output = command
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("PATH", home.path_with_programs("echo kind v0.31.0"))
            .output()
            .expect("it starts");
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(begun.elapsed() < Duration::from_secs(15), "an engine that {what}: {:?}", begun.elapsed());
        assert_eq!(output.status.code(), Some(3), "an engine that {what}: {talk}");
        assert!(talk.contains("engine") && talk.contains("hint:"), "an engine that {what}: {talk}");
        assert!(!talk.contains("panicked"), "{talk}");
        assert!(!home.lab("meshy").exists(), "an engine that {what}: something of a lab was left");
    }
}

#[test]
fn doctor_is_over_in_two_seconds_whatever_hangs() {
    let home = Home::new();
    let socket = home.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    std::thread::spawn(move || {
        // Kept open without output.
        let mut held = Vec::new();
        for stream in listener.incoming() {
            held.push(stream);
        }
    });
    let path = home.path_with_programs("exec sleep 30");
    let begun = Instant::now();
    let mut command = home.command("check --machine --provider kind");
    let output = command
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .env("PATH", path)
        .output()
        .expect("it starts");
    let took = begun.elapsed();
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(output.status.code(), Some(3), "{table}");
    assert_eq!(table.matches("missing").count(), 3, "engine, docker and kind: {table}");
    // Killed with doctor; the kernel may take a moment to be done with them, far less than they would sleep.
    while !home.processes().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(15), "a program that hangs was left");
        std::thread::sleep(Duration::from_millis(5));
    }
}
