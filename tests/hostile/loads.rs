//! Loads that go wrong: servers that respond with anything, no file descriptors left, ctrl-C, and flags that make no sense.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rustix::process::Signal;

use crate::home::{Home, signal};
use crate::program::{each, run, run_with};
use crate::server::{endless, head, start};
use crate::tally::{Tally, random};

/// What a server does with each connection.
type Serve = fn(TcpStream);

fn once(mut stream: TcpStream, bytes: &[u8]) {
    if head(&mut stream).is_some() {
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

fn forever(mut stream: TcpStream, start: &[u8], bytes: &[u8]) {
    if head(&mut stream).is_some() && stream.write_all(start).is_ok() {
        endless(&mut stream, bytes);
    }
}

/// Sends a byte a second.
fn slowly(mut stream: TcpStream) {
    let _ = head(&mut stream);
    while stream.write_all(b"H").is_ok() {
        thread::sleep(Duration::from_secs(1));
    }
}

fn mute(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

const SERVERS: &[(&str, Serve)] = &[
    ("garbage", |s| once(s, b"\x01\x02garbage\r\n\r\n")),
    ("half a body", |s| once(s, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")),
    ("half a head", |s| once(s, b"HTTP/1.1 200 OK\r\ncontent-le")),
    ("a length that is none", |s| once(s, b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n")),
    ("two lengths", |s| once(s, b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab")),
    ("a chunk that is none", |s| once(s, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")),
    ("a chunk without an end", |s| {
        forever(
            s,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffff\r\n",
            &[b'a'; 65536],
        );
    }),
    ("small chunks without an end", |s| {
        forever(s, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &b"1\r\na\r\n".repeat(4096));
    }),
    ("a status that is none", |s| once(s, b"HTTP/1.1 999999 X\r\n\r\n")),
    ("status 101", |s| {
        once(s, b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
    }),
    ("a version that is none", |s| once(s, b"HTTP/9.9 200 OK\r\n\r\n")),
    ("escape sequences", |s| {
        once(s, b"HTTP/1.1 500 \x1b[2J\x1b]0;x\x07\r\nx: \x1b[2J\r\ncontent-length: 4\r\n\r\n\x1b[2J");
    }),
    ("HTTP/2", |s| once(s, b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00")),
    ("responses without a request", |s| forever(s, b"", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")),
    ("early hints without an end", |s| {
        forever(s, b"", &b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(512));
    }),
    ("continue without an end", |s| forever(s, b"", &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1024))),
    ("headers without an end", |s| {
        forever(s, b"HTTP/1.1 200 OK\r\n", &b"x: yyyyyyyyyyyyyyy\r\n".repeat(1024));
    }),
    ("a header without an end", |s| forever(s, b"HTTP/1.1 200 OK\r\nx: ", &[b'y'; 65536])),
    ("a body without an end", |s| forever(s, b"HTTP/1.1 200 OK\r\n\r\n", &[b'a'; 65536])),
    ("a body longer than any", |s| {
        forever(s, b"HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n", &[b'a'; 65536]);
    }),
    ("a byte a second", slowly),
    ("nothing", mute),
    ("the end", drop),
];

#[test]
fn servers_that_respond_with_anything() {
    let tally = Tally::new("loads on hostile servers", 23);
    let home = Home::new();
    each(SERVERS.to_vec(), |(name, serve)| {
        let address = start(serve);
        let line = format!(
            "traffic --url http://{address}/ --rps 40 --duration 1s --connections 8 --client-timeout 500ms --timeout 3s"
        );
        let ended = run(home.command(&line));
        let mut faults = ended.faults();
        // A second of load, half of one until the last request is sent, half of one for it, and one to start and to end.
        if ended.took > Duration::from_secs(3) + ended.stalled {
            faults.push(format!("ended after {:.1?} (held up for {:.1?})", ended.took, ended.stalled));
        }
        tally.add("S-D20", name, faults);
    });
    tally.end();
}

/// A server that needs 300 ms for a response, so that many connections are open at once.
fn healthy(mut stream: TcpStream) {
    while head(&mut stream).is_some() {
        thread::sleep(Duration::from_millis(300));
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

#[test]
fn loads_without_descriptors() {
    let (tally, mut random) = (Tally::new("loads without descriptors", 20), random("descriptors"));
    let home = Home::new();
    let address = start(healthy);
    let cases: Vec<(u32, u32)> = (0..24).map(|number| (14 + number, random.random_range(20..120))).collect();
    each(cases, |(descriptors, rate)| {
        let line = format!(
            "traffic --url http://{address}/ --rps {rate} --duration 1s --connections 200 --timeout 3s -o json"
        );
        let ended = run(home.through_shell(&format!("ulimit -n {descriptors}"), &line));
        let mut faults = ended.faults();
        let failed = ["\"connection\":", "\"connection_count\":", "refused or broken"];
        let counted = failed.iter().any(|word| ended.stdout.contains(word) || ended.stderr.contains(word));
        let is_success =
            ended.stdout.contains("\"success_ratio\": 1.0") || ended.stdout.contains("\"success_ratio\":1.0");
        if ended.status.success() && !is_success {
            faults
                .push(format!("counts failures of the server ({counted}): {}{}", ended.stdout, ended.stderr));
        }
        tally.add("S-D10", format!("{descriptors} descriptors, {rate}/s"), faults);
    });
    tally.end();
}

#[test]
fn loads_that_are_interrupted() {
    let tally = Tally::new("loads that are interrupted", 20);
    let home = Home::new();
    let servers: [(&str, Serve); 5] = [
        ("nothing", mute),
        ("a byte a second", slowly),
        ("a body without an end", |s| forever(s, b"HTTP/1.1 200 OK\r\n\r\n", &[b'a'; 65536])),
        ("a body that stops", |mut s| {
            let _ = head(&mut s);
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na");
            mute(s);
        }),
        ("responses", healthy),
    ];
    let cases: Vec<_> =
        servers.into_iter().flat_map(|server| [1, 2, 3, 7].map(|times| (server, times))).collect();
    each(cases, |((name, serve), times)| {
        let reached = Arc::new(AtomicBool::new(false));
        let seen = reached.clone();
        let address = start(move |stream| {
            seen.store(true, Ordering::SeqCst);
            serve(stream);
        });
        let line = format!(
            "traffic --url http://{address}/ --rps 20 --duration 60s --client-timeout 30s --timeout 3s"
        );
        let (sent, struck) = (Cell::new(0), Cell::new(None));
        let ended = run_with(home.command(&line), |child, since| {
            if reached.load(Ordering::SeqCst) && since > Duration::from_millis(700) && sent.get() < times {
                struck.set(struck.get().or(Some(Instant::now())));
                sent.set(sent.get() + 1);
                signal(child.id(), Signal::INT);
            }
        });
        let took = struck.get().map(|struck| struck.elapsed());
        let mut faults = ended.faults();
        match took {
            Some(took) if took <= Duration::from_secs(1) + ended.stalled => {}
            other => faults.push(format!(
                "ended {other:.1?} after the first ctrl-C (held up for {:.1?})",
                ended.stalled
            )),
        }
        tally.add("S-D16", format!("{name}, ctrl-C {times} times"), faults);
    });
    tally.end();
}

#[test]
fn loads_that_make_no_sense() {
    let tally = Tally::new("loads that make no sense", 24);
    let home = Home::new();
    let url = "--url http://127.0.0.1:9/ --duration 1s";
    let lines = [
        format!("{url} --rps 0"),
        format!("{url} --rps -1"),
        format!("{url} --rps nan"),
        format!("{url} --rps inf"),
        format!("{url} --rps 1e400"),
        format!("{url} --rps 1e300"),
        format!("{url} --connections 0"),
        format!("{url} --connections -1"),
        format!("{url} --connections 99999999999999999999"),
        format!("{url} --client-timeout 0s"),
        format!("{url} --client-timeout -1s"),
        format!("{url} --client-timeout 1e30s"),
        "--url http://127.0.0.1:9/ --duration 1y".to_owned(),
        "--url http://127.0.0.1:9/ --duration -5s".to_owned(),
        "--url http://127.0.0.1:9/ --duration 99999999999999999999h".to_owned(),
        "--url http://127.0.0.1:9/ --duration \u{1b}[2J".to_owned(),
        "--url http:///x --duration 1s".to_owned(),
        "--url http:// --duration 1s".to_owned(),
        "--url http://[::1 --duration 1s".to_owned(),
        "--url ftp://127.0.0.1/ --duration 1s".to_owned(),
        "--url file:///etc/passwd --duration 1s".to_owned(),
        "--url \u{202e}http://x --duration 1s".to_owned(),
        "--url http://a\u{7f}b/ --duration 1s".to_owned(),
        format!("{url} --url http://127.0.0.1:9/"),
    ];
    each(lines.to_vec(), |line| {
        let ended = run(home.command(&format!("traffic {line} --timeout 3s")));
        tally.add("S-D10", line, ended.faults_of_invalid());
    });
    tally.end();
}
