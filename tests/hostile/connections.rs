//! Connections that wait in the middle of something: other clients of an embedded lab must get through.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::home::Home;
use crate::https::{Lab, Tls, parse};
use crate::program::memory_of;
use crate::stalls::Stalls;
use crate::tally::Tally;

/// More idle connections than the first version took at once: from then on it accepted no other client for 75 s.
const IDLE: usize = 4_200;

/// How many connections wait at each of 24 points. At the API 4,096 are as many as the lab takes; with their handshakes they cost
/// minutes on a busy machine without optimization, so that a usual run has fewer. `MESHY_CONNECTIONS=180` tries as many as are
/// needed to lock others out.
fn waiting() -> usize {
    std::env::var("MESHY_CONNECTIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

/// How long another client may wait for its response.
const LONGEST: Duration = Duration::from_secs(3);

/// How long a connection to the API may take to its first request: 10 s, and as much again for a busy machine.
const FIRST_REQUEST: Duration = Duration::from_secs(20);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: minimal-service\r\ncontent-length: 90\r\n\r\n123456789";

/// Room for all of them here; the lab, which is started after this, gets the same.
fn raise_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum");
    assert!(
        maximum.is_none_or(|most| most > 10_000),
        "this test needs 10,000 descriptors: ulimit -Hn {maximum:?}"
    );
}

/// What is bad about a client that comes when others wait.
fn fault(what: &str, client: impl FnOnce() -> std::io::Result<u16>) -> Vec<String> {
    let (begun, stalled) = (Instant::now(), Stalls::begin());
    let status = client();
    let (took, stalled) = (begun.elapsed(), stalled.end());
    match status {
        Ok(200) if took <= LONGEST + stalled => Vec::new(),
        other => vec![format!("{what}: another client got {other:?} after {took:.1?}")],
    }
}

fn ask_api(lab: &Lab) -> std::io::Result<u16> {
    let request = b"GET /version HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    Ok(lab.send(request, Duration::from_secs(20))?.status)
}

fn ask_ingress(lab: &Lab) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(&lab.ingress)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: minimal-service\r\nconnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    Ok(parse(&response).map_or(0, |response| response.status))
}

/// A connection that ends its first request nowhere must not be held for good: so many of them lock others out.
fn forgotten(tally: &Tally, lab: &Lab) {
    let open = |length: usize| {
        let mut stream = lab.connect(Duration::from_secs(20)).expect("the lab accepts a connection");
        stream.write_all(&PREFACE[..length]).and_then(|()| stream.flush()).expect("and reads from it");
        stream.sock.set_read_timeout(Some(Duration::from_millis(10))).expect("a socket");
        (length, stream)
    };
    let mut held: Vec<(usize, Tls)> = (0..PREFACE.len()).map(open).collect();
    let (begun, stalls) = (Instant::now(), Stalls::begin());
    while !held.is_empty() && begun.elapsed() < FIRST_REQUEST {
        held.retain_mut(|(_, stream)| is_open(stream));
        std::thread::sleep(Duration::from_millis(100));
    }
    let extra = stalls.end();
    std::thread::sleep(if held.is_empty() { Duration::ZERO } else { extra });
    held.retain_mut(|(_, stream)| is_open(stream));
    for length in 0..PREFACE.len() {
        let is_held = held.iter().any(|(held, _)| *held == length);
        let name = format!("API, a connection with {length} bytes of HTTP/2");
        let faults = if is_held { vec![format!("still open after {FIRST_REQUEST:?}")] } else { Vec::new() };
        tally.add("S-D6", name, faults);
    }
}

/// Whether the server has not closed a connection on which it sends nothing.
fn is_open(stream: &mut Tls) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(count) => count > 0,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn connections_that_wait() {
    raise_limit();
    let tally = Tally::new("connections that wait", 76);
    let home = Home::new();
    home.good("up --provider embedded --overlay minimal-service");
    let lab = Lab::of(&home);
    let before = memory_of(lab.process).expect("its memory");

    forgotten(&tally, &lab);
    let mut held = Vec::new();
    let waiting = waiting();
    for length in 0..PREFACE.len() {
        for _ in 0..waiting {
            // The lab may close what has waited for the longest time: that is what lets others in.
            let Ok(mut stream) = lab.connect(Duration::from_secs(20)) else { continue };
            let _ = stream.write_all(&PREFACE[..length]).and_then(|()| stream.flush());
            held.push(stream);
        }
        let name = format!("API, {waiting} more connections with {length} bytes of HTTP/2");
        tally.add("S-D6", &name, fault(&name, || ask_api(&lab)));
    }
    drop(held);
    let name = "API, all of them gone";
    tally.add("S-D6", name, fault(name, || ask_api(&lab)));

    let mut held = Vec::new();
    for number in 0..24 {
        let length = number * REQUEST.len() / 23;
        for _ in 0..waiting {
            let Ok(mut stream) = TcpStream::connect(&lab.ingress) else { continue };
            let _ = stream.write_all(&REQUEST[..length]);
            held.push(stream);
        }
        let name = format!("ingress, {waiting} more connections with {length} bytes of a request");
        tally.add("S-D14", &name, fault(&name, || ask_ingress(&lab)));
    }
    drop(held);

    // At once, so that none of them is closed for its age before the last one is there.
    let held: Vec<TcpStream> = (0..IDLE).filter_map(|_| TcpStream::connect(&lab.ingress).ok()).collect();
    for round in 1..=3 {
        let name = format!("ingress, {} idle connections, client {round}", held.len());
        tally.add("S-D14", &name, fault(&name, || ask_ingress(&lab)));
    }
    let grown = memory_of(lab.process).expect("its memory").saturating_sub(before);
    let faults = if grown > 250_000_000 {
        vec![format!("the lab took {} MB more", grown / 1_000_000)]
    } else {
        Vec::new()
    };
    tally.add("S-D14", "memory of all connections", faults);
    drop(held);
    tally.end();
}
