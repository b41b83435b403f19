//! A server for tests: returns the statuses of its script in turn, and ends on request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The server; it dies with this value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    dead: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
}

impl Server {
    /// Answers these statuses in turn, over and over.
    pub(crate) fn start(script: &'static [u16]) -> Self {
        Self::living(script, usize::MAX)
    }

    /// Dies after so many answers: it takes no connection any more and drops those that it has.
    pub(crate) fn living(script: &'static [u16], answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (dead, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (gone, count) = (dead.clone(), served.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if gone.load(Ordering::SeqCst) {
                    return;
                }
                let (gone, count) = (gone.clone(), count.clone());
                std::thread::spawn(move || answer(stream, script, answers, &count, &gone));
            }
        });
        Self { address, dead, served }
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many answers it gave.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.dead.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(mut stream: TcpStream, script: &[u16], answers: usize, count: &AtomicUsize, gone: &AtomicBool) {
    let mut buffer = [0; 4096];
    // Requests are small and come one by one: one read holds one of them.
    while let Ok(1..) = stream.read(&mut buffer) {
        let number = count.fetch_add(1, Ordering::SeqCst);
        if number >= answers {
            gone.store(true, Ordering::SeqCst);
        }
        if gone.load(Ordering::SeqCst) {
            return;
        }
        let status = script[number % script.len()];
        let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok");
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}
