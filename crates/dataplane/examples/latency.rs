//! An open loop for the benches: requests at a fixed rate, each timed from its planned moment.
//!
//! ```text
//! latency ADDRESS RATE SECONDS      prints requests, errors, p50 and p99 in microseconds
//! ```
//!
//! Twenty threads with a connection each take turns, so that a late answer delays no other request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: u32 = 20;
/// The system's sleep ends a little late; the rest of the wait is spent looking at the clock.
const EARLY: Duration = Duration::from_micros(150);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [address, rate, seconds] = &args[..] else {
        return Err("usage: latency ADDRESS RATE SECONDS".into());
    };
    let (address, rate, seconds): (SocketAddr, u32, u32) =
        (address.parse()?, rate.parse()?, seconds.parse()?);
    let start = Instant::now() + Duration::from_millis(100);
    let each = move |n: u32| run(address, start + n * Duration::from_secs(1) / rate, rate, seconds);
    let threads: Vec<_> = (0..CONNECTIONS).map(|n| thread::spawn(move || each(n))).collect();
    let (mut times, mut errors) = (Vec::new(), 0);
    for one in threads {
        let (some, failed) = one.join().expect("a thread ended");
        times.extend(some);
        errors += failed;
    }
    times.sort();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0, Duration::as_micros);
    writeln!(std::io::stdout(), "{} {errors} {} {}", times.len(), at(0.5), at(0.99))?;
    Ok(())
}

/// One connection's share of the requests.
fn run(address: SocketAddr, first: Instant, rate: u32, seconds: u32) -> (Vec<Duration>, u32) {
    let (mut times, mut errors, mut kept) = (Vec::new(), 0, None);
    for n in 0..rate * seconds / CONNECTIONS {
        let planned = first + n * CONNECTIONS * Duration::from_secs(1) / rate;
        thread::sleep(planned.saturating_duration_since(Instant::now()).saturating_sub(EARLY));
        while Instant::now() < planned {
            std::hint::spin_loop();
        }
        match exchange(&mut kept, address) {
            Ok(()) => times.push(planned.elapsed()),
            Err(_) => {
                errors += 1;
                kept = None;
            }
        }
    }
    (times, errors)
}

fn exchange(kept: &mut Option<TcpStream>, address: SocketAddr) -> Outcome<()> {
    let stream = match kept {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            kept.insert(stream)
        }
    };
    stream.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")?;
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer)?;
    if answer[..read].starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err("no good answer".into()) }
}
