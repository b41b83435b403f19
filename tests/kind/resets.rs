//! An engine whose connection breaks at one request, whichever it is: reported as such, and the next run goes on.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::user::User;

/// The engine's own socket.
fn real() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    host.strip_prefix("unix://").expect("the testbed's engine is at a socket").to_owned()
}

/// How many requests begin in `bytes`; a head that lies in two pieces is one of the next piece.
fn heads(bytes: &[u8]) -> usize {
    bytes.windows(11).filter(|w| w == b" HTTP/1.1\r\n").count()
}

fn carry(mut from: UnixStream, mut to: UnixStream, mut pass: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if !pass(&buffer[..n]) || to.write_all(&buffer[..n]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Stands in front of the engine and breaks the connection that brings request `at`, counted from 1, before the engine
/// sees it. Gives how many came.
fn breaking(socket: &Path, at: usize) -> Arc<AtomicUsize> {
    let seen = Arc::new(AtomicUsize::new(0));
    let listener = UnixListener::bind(socket).expect("a socket");
    let count = seen.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(engine) = UnixStream::connect(real()) else { return };
            let (back, to_client) =
                (engine.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            std::thread::spawn(move || carry(back, to_client, |_| true));
            let count = count.clone();
            std::thread::spawn(move || {
                carry(client, engine, |bytes| {
                    let new = heads(bytes);
                    let before = count.fetch_add(new, Ordering::SeqCst);
                    !(before + 1..=before + new).contains(&at)
                });
            });
        }
    });
    seen
}

fn meshy(user: &User, line: &[&str], socket: &Path) -> Output {
    user.command(line).env("DOCKER_HOST", format!("unix://{}", socket.display())).output().unwrap()
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_connection_that_breaks_at_any_request_is_the_engines_fault_and_the_next_run_goes_on() {
    let user = User::new("resets");
    let registry = ["registry", "--provider", "kind"];
    let mut hurt = 0;
    for (line, whole) in [(&registry[..], "registry"), (&["down"], "down")] {
        for at in 1.. {
            if whole == "down" {
                user.must(&registry);
            }
            let socket = user.home.path().join(format!("{whole}-{at}.sock"));
            let seen = breaking(&socket, at);
            let begun = Instant::now();
            let output = meshy(&user, line, &socket);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "{whole}, {at}: {:?}\n{stderr}",
                begun.elapsed()
            );
            assert!(!stderr.contains("panicked"), "{whole}, {at}: {stderr}");
            if !output.status.success() {
                hurt += 1;
                assert!(matches!(output.status.code(), Some(1 | 3)), "{whole}, {at}: {stderr}");
                assert!(stderr.to_lowercase().contains("engine"), "{whole}, {at}: {stderr}");
            }
            // Straight on, without the embedded cluster: what was begun is completed, or taken away.
            if whole == "registry" && at % 2 == 0 {
                user.must(&registry);
            }
            user.must(&["down"]);
            user.assert_gone();
            if seen.load(Ordering::SeqCst) < at {
                eprintln!("{whole}: {} requests", at - 1);
                break;
            }
        }
    }
    assert!(hurt > 4, "only {hurt} runs noticed");
}
