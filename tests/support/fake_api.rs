//! A fake API server for tests: plain HTTP on loopback that fails in one chosen way, or in another way for each path.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The context in the kubeconfig that [`FakeApi::kubeconfig`] writes.
pub(crate) const CONTEXT: &str = "fake";

/// How the server responds to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each test binary uses its own part")]
pub(crate) enum Mode {
    /// Status 500 with a line of text.
    ServerError,
    /// Status 500 with a Kubernetes `Status` object.
    StatusError,
    /// Status 403 with a Kubernetes `Status` object, as a server does for a user without rights.
    Forbidden,
    /// Status 200 with a body that is cut JSON.
    Garbage,
    /// Status 200 with `{}`.
    EmptyObject,
    /// Status 200 with a web page.
    Html,
    /// Status 404 with a web page, as a web server that is not API server sends.
    NotFoundPage,
    /// Status 404 with the text that Go's HTTP server and kube-apiserver send for an unknown path.
    NotFoundText,
    /// Status 302 to a login page.
    Redirect,
    /// A status line and headers without end.
    EndlessHeaders,
    /// Half of the body that `content-length` announces, then the end of the connection.
    Truncated,
    /// The end of the connection after the request.
    Closed,
    /// Nothing, on an open connection.
    Silent,
    /// The start of a good response, then one byte per second.
    Slow,
    /// No process listens.
    Refused,
    /// A status with a JSON body.
    Json(u16, String),
}

#[allow(dead_code, reason = "each test binary uses its own part")]
impl Mode {
    /// The modes that end a request at once.
    pub(crate) const FAST: [Self; 12] = [
        Self::ServerError,
        Self::StatusError,
        Self::Garbage,
        Self::EmptyObject,
        Self::Html,
        Self::NotFoundPage,
        Self::NotFoundText,
        Self::Redirect,
        Self::EndlessHeaders,
        Self::Truncated,
        Self::Closed,
        Self::Refused,
    ];

    /// The modes in which a request ends only when the client stops waiting.
    pub(crate) const ENDLESS: [Self; 2] = [Self::Silent, Self::Slow];
}

/// The server; it ends with this value.
pub(crate) struct FakeApi {
    address: SocketAddr,
    state: Arc<State>,
    /// For [`Mode::Refused`]: two ends of a connection. The port of an open connection is taken by no process and has no
    /// listener.
    _taken: Option<(TcpStream, TcpStream)>,
}

struct State {
    dead: AtomicBool,
    requests: Mutex<Vec<String>>,
    mode: Box<dyn Fn(&str) -> Mode + Send + Sync>,
}

#[allow(dead_code, reason = "each test binary uses its own part")]
impl FakeApi {
    /// A server that responds to every request in this mode.
    pub(crate) fn start(mode: Mode) -> Self {
        if mode == Mode::Refused {
            return Self::refused();
        }
        Self::by_path(move |_| mode.clone())
    }

    /// A server whose mode depends on the request's path, with its query.
    pub(crate) fn by_path(mode: impl Fn(&str) -> Mode + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State {
            dead: AtomicBool::new(false),
            requests: Mutex::default(),
            mode: Box::new(mode),
        });
        let accepting = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.dead.load(Ordering::SeqCst) {
                    return;
                }
                let state = accepting.clone();
                // An error means that the client is gone.
                std::thread::spawn(move || serve(stream, &state).unwrap_or_default());
            }
        });
        Self { address, state, _taken: None }
    }

    fn refused() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let ours = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
        let (theirs, _) = listener.accept().expect("a connection");
        let address = ours.local_addr().expect("its address");
        let state =
            State { dead: true.into(), requests: Mutex::default(), mode: Box::new(|_| Mode::Refused) };
        Self { address, state: Arc::new(state), _taken: Some((ours, theirs)) }
    }

    /// Its address, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its URL, `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig whose context [`CONTEXT`] leads to this server, and returns its path.
    pub(crate) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let file = folder.join(format!("fake-{}.kubeconfig", self.address.port()));
        let url = self.url();
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: {CONTEXT}, \
             clusters: [{{name: {CONTEXT}, cluster: {{server: '{url}'}}}}], \
             users: [{{name: {CONTEXT}, user: {{token: t}}}}], \
             contexts: [{{name: {CONTEXT}, context: {{cluster: {CONTEXT}, user: {CONTEXT}}}}}]}}\n"
        );
        fs::write(&file, text).expect("a kubeconfig");
        file
    }

    /// The requests so far as `METHOD PATH`, in the order of their arrival.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().expect("no panic while held").clone()
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        if !self.state.dead.swap(true, Ordering::SeqCst) {
            // Wakes the thread that waits for a connection.
            let _ = TcpStream::connect(self.address);
        }
    }
}

/// Responds to the requests of one connection until it ends.
fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    while let Some(request) = read_request(&mut stream)? {
        state.requests.lock().expect("no panic while held").push(request.clone());
        let path = request.split_once(' ').map_or("", |(_, path)| path);
        if !respond(&mut stream, &(state.mode)(path))? {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a request with its body. Returns its method and path; none when the client has closed the connection.
fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let rest = (end + 4 + length.unwrap_or(0)).saturating_sub(bytes.len());
        stream.read_exact(&mut vec![0; rest])?;
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        return Ok(Some(format!("{method} {path}")));
    }
}

/// Sends one response. Returns whether the connection can carry another one.
fn respond(stream: &mut TcpStream, mode: &Mode) -> std::io::Result<bool> {
    const JSON: &str = "application/json";
    const PAGE: &str = "<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>";
    let status = |code: u16, reason: &str, message: &str| {
        format!(
            r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","code":{code}}}"#
        )
    };
    match mode {
        Mode::ServerError => whole(stream, 500, "text/plain", "internal error in the fake\n")?,
        Mode::StatusError => {
            whole(stream, 500, JSON, &status(500, "InternalError", "the fake has lost its store"))?;
        }
        Mode::Forbidden => {
            whole(stream, 403, JSON, &status(403, "Forbidden", "user t has no rights in the fake"))?;
        }
        Mode::Garbage => whole(stream, 200, JSON, r#"{"kind": "List", "items": [{"#)?,
        Mode::EmptyObject => whole(stream, 200, JSON, "{}")?,
        Mode::Html => whole(stream, 200, "text/html", PAGE)?,
        Mode::NotFoundPage => whole(stream, 404, "text/html", PAGE)?,
        Mode::NotFoundText => whole(stream, 404, "text/plain", "404 page not found\n")?,
        Mode::Json(code, body) => whole(stream, *code, JSON, body)?,
        Mode::Redirect => {
            stream.write_all(b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n")?;
        }
        Mode::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            let lines =
                "x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(64);
            loop {
                stream.write_all(lines.as_bytes())?;
            }
        }
        Mode::Truncated => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: 4096\r\n\r\n");
            stream.write_all(format!("{head}{{\"kind\": ").as_bytes())?;
            return Ok(false);
        }
        Mode::Closed | Mode::Refused => return Ok(false),
        Mode::Silent => {
            // Ends when the client closes the connection.
            let _ = stream.read(&mut [0; 1])?;
            return Ok(false);
        }
        Mode::Slow => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: 4096\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            loop {
                stream.write_all(b" ")?;
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }
    Ok(true)
}

fn whole(stream: &mut TcpStream, code: u16, kind: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {code} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes())
}
