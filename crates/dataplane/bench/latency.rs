//! An open-loop load for the benchmarks: requests at a fixed rate, each timed from its planned start.
//!
//! ```text
//! latency ADDRESS RATE SECONDS      prints requests, errors, p50 and p99 in microseconds
//! ```
//!
//! Twenty threads with a connection each take turns, so that a late response delays no other request.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: u32 = 20;
/// How long before the planned start a thread polls the clock, because the system's sleep ends late.
const SPIN: Duration = Duration::from_micros(150);

type BoxResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> BoxResult<()> {
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
        let (some, failed) = one.join().expect("a thread does not panic");
        times.extend(some);
        errors += failed;
    }
    times.sort();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0, Duration::as_micros);
    writeln!(std::io::stdout(), "{} {errors} {} {}", times.len(), at(0.5), at(0.99))?;
    Ok(())
}

/// Sends the requests of one connection; returns their latencies and the number of errors.
fn run(address: SocketAddr, first: Instant, rate: u32, seconds: u32) -> (Vec<Duration>, u32) {
    let (mut times, mut errors, mut connection) = (Vec::new(), 0, None);
    for n in 0..rate * seconds / CONNECTIONS {
        let planned = first + n * CONNECTIONS * Duration::from_secs(1) / rate;
        thread::sleep(planned.saturating_duration_since(Instant::now()).saturating_sub(SPIN));
        while Instant::now() < planned {
            std::hint::spin_loop();
        }
        match exchange(&mut connection, address) {
            Ok(()) => times.push(planned.elapsed()),
            Err(_) => {
                errors += 1;
                connection = None;
            }
        }
    }
    (times, errors)
}

fn exchange(connection: &mut Option<TcpStream>, address: SocketAddr) -> BoxResult<()> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            connection.insert(stream)
        }
    };
    stream.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")?;
    let mut response = [0; 4096];
    let read = stream.read(&mut response)?;
    if response[..read].starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err("the status is not 200".into()) }
}
