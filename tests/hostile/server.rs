//! Servers on loopback that do what they like with a connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Starts a server; returns its address. It ends with the test's process.
pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads the head of a request. Returns its first line; none at the end of the connection.
pub(crate) fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).lines().next().map(str::to_owned)
}

/// Sends the same bytes until the other side has had enough.
pub(crate) fn endless(stream: &mut TcpStream, bytes: &[u8]) {
    while stream.write_all(bytes).is_ok() {}
}

/// Sends a response with a JSON body.
pub(crate) fn respond(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())
}

/// Writes a kubeconfig with the context `a`, which leads to a server, and returns the flags that name it.
pub(crate) fn context(folder: &std::path::Path, server: &str, user: &str) -> String {
    let file = folder.join(format!("kubeconfig-{}", rand::random::<u64>()));
    let text = format!(
        "contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    );
    std::fs::write(&file, text).expect("a kubeconfig");
    format!("--context a --kubeconfig {} --timeout 3s --yes", file.display())
}
