//! Requests to the server as a browser or another program sends them.

use std::sync::Mutex;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use meshy_experiment::event::{Event, Kind, Note};
use meshy_experiment::run::Run;
use tokio::net::TcpStream;

use super::*;
use crate::control::{Acted, Command, NotDone, State};
use crate::report::Report;

/// Keeps the commands that it gets.
#[derive(Default)]
struct Kept(Mutex<Vec<Command>>);

impl Controls for Kept {
    fn act(&self, command: Command) -> Acted<'_> {
        Box::pin(async move {
            if command == Command::Next {
                return Err(NotDone("nothing waits".to_owned()));
            }
            self.0.lock().unwrap().push(command);
            Ok(())
        })
    }
}

fn reporter(run: &Run) -> Report {
    Report {
        summary: format!("<p>{} events</p>", run.events().len()),
        pictures: "<svg></svg>".to_owned(),
        ..Report::default()
    }
}

fn note(text: &str) -> Event {
    let kind = Kind::Note(Note { text: text.to_owned() });
    Event::new("2026-01-02T03:04:05Z".parse().unwrap(), Duration::ZERO, None, kind)
}

struct Page {
    hub: Arc<Hub>,
    kept: Arc<Kept>,
    addr: SocketAddr,
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Page {
    async fn open() -> Self {
        let (hub, kept) = (Hub::live(&State::default()), Arc::new(Kept::default()));
        let server = Server::bind(hub.clone(), Some(kept.clone()), reporter).await.unwrap();
        let (addr, url) = (server.addr(), server.url());
        Self { hub, kept, addr, url, task: tokio::spawn(server.serve()) }
    }

    /// The page of a recorded run.
    async fn recorded() -> Self {
        let hub = Hub::recorded(&Run::new(vec![note("past")]), &State::default());
        let server = Server::bind(hub.clone(), None, reporter).await.unwrap();
        let (addr, url) = (server.addr(), server.url());
        Self { hub, kept: Arc::default(), addr, url, task: tokio::spawn(server.serve()) }
    }

    /// Reads a page that may be read.
    async fn read(&self, path: &str) -> (StatusCode, String) {
        let response = self.get(path, &[("cookie", &self.cookie().await)]).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Sends a request with the Host header of the page, unless `headers` has one.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", self.addr.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        sender.send_request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        self.send(Method::GET, path, headers, "").await
    }

    fn path_with_token(&self) -> &str {
        &self.url[self.url.rfind('/').unwrap()..]
    }

    async fn cookie(&self) -> String {
        let entered = self.get(self.path_with_token(), &[]).await;
        assert_eq!(entered.status(), StatusCode::SEE_OTHER);
        let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn command(&self, headers: &[(&str, &str)], body: &str) -> StatusCode {
        self.send(Method::POST, "/do", headers, body).await.status()
    }
}

#[tokio::test]
async fn nothing_is_served_without_the_token() {
    let page = Page::open().await;
    for path in ["/", "/speaker", "/events", "/save", "/page.js", "/?token=", "/?token=x", "/nothing"] {
        let response = page.get(path, &[("cookie", "meshy-page=x")]).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let token = page.path_with_token().replace("/?", "/page.js?");
    assert_eq!(page.get(&token, &[]).await.status(), StatusCode::FORBIDDEN, "the token opens pages only");
}

#[tokio::test]
async fn the_token_is_exchanged_for_a_cookie_in_any_number_of_browsers() {
    let page = Page::open().await;
    for path in ["/", "/speaker", "/page.js", "/vendor/uPlot.min.css"] {
        let cookie = page.cookie().await;
        let response = page.get(path, &[("cookie", &cookie)]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(
        page.get("/missing", &[("cookie", &page.cookie().await)]).await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_token_for_once_opens_the_page_once() {
    let (hub, guard) = (Hub::live(&State::default()), Guard::new(1));
    let server = Server::bind(hub, None, |_| Report::default()).await.unwrap();
    assert_ne!(server.url(), server.url_for_once());
    let query = format!("token={}", guard.token_for_once());
    assert!(guard.has_token(Some(&query)) && !guard.has_token(Some(&query)));
    let own = format!("token={}", guard.token());
    assert!(guard.has_token(Some(&own)) && guard.has_token(Some(&own)));
}

#[tokio::test]
async fn a_recorded_run_is_served_with_its_report_and_saved_as_the_file_of_the_report() {
    let page = Page::recorded().await;
    let (status, served) = page.read("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(served.contains("<p>1 events</p>") && !served.contains("<noscript>"), "{served}");
    let (_, saved) = page.read("/save").await;
    assert_eq!(saved, save::page(&page.hub, reporter));
    assert!(saved.contains("<p>1 events</p>") && saved.contains("<noscript>\n<svg>"));
    let (_, live) = Page::open().await.read("/").await;
    assert!(!live.contains("events</p>"), "a run that goes on has no report yet");
}

#[tokio::test]
async fn a_recorded_run_has_no_speakers_page() {
    let (status, text) = Page::recorded().await.read("/speaker").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(text.contains("a recorded run has no speaker's page") && text.contains("hint: "), "{text}");
    let (status, text) = Page::open().await.read("/speaker").await;
    assert!(status == StatusCode::OK && text.contains("speaker.js"));
}

#[tokio::test]
async fn other_hosts_and_origins_get_nothing() {
    let page = Page::open().await;
    let cookie = page.cookie().await;
    let own = format!("http://{}", page.addr);
    let other_port = format!("http://127.0.0.1:{}", page.addr.port() ^ 1);
    let refused: [&[(&str, &str)]; 6] = [
        &[("host", "attacker.example")],
        &[("host", "127.0.0.1")],
        &[("origin", "http://attacker.example")],
        &[("origin", "null")],
        &[("origin", &other_port)],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
    ];
    for more in refused {
        let headers = [&[("cookie", cookie.as_str())], more].concat();
        assert_eq!(page.get("/", &headers).await.status(), StatusCode::FORBIDDEN, "{more:?}");
        assert_eq!(page.get(page.path_with_token(), more).await.status(), StatusCode::FORBIDDEN, "{more:?}");
    }
    assert_eq!(page.get("/", &[("cookie", &cookie), ("origin", &own)]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn commands_need_the_cookie_the_origin_and_json() {
    let page = Page::open().await;
    let (cookie, own) = (page.cookie().await, format!("http://{}", page.addr));
    let json = ("content-type", "application/json");
    let body = r#"{"do":"fault","service":"cart","percent":50}"#;
    assert_eq!(page.command(&[("origin", &own), json], body).await, StatusCode::FORBIDDEN);
    assert_eq!(page.command(&[("cookie", &cookie), json], body).await, StatusCode::FORBIDDEN, "no origin");
    let whole = [("cookie", cookie.as_str()), ("origin", own.as_str()), json];
    assert_eq!(page.command(&whole[..2], body).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(page.command(&whole, r#"{"do":"fault","service":"cart"}"#).await, StatusCode::BAD_REQUEST);
    assert_eq!(page.command(&whole, &" ".repeat(20_000)).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(page.command(&whole, r#"{"do":"next"}"#).await, StatusCode::CONFLICT, "the caller's error");
    assert_eq!(page.command(&whole, body).await, StatusCode::NO_CONTENT);
    assert_eq!(*page.kept.0.lock().unwrap(), [Command::Fault { service: "cart".to_owned(), percent: 50 }]);
}

/// Reads a stream until it contains a text.
async fn read_until(response: &mut Response<Incoming>, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let frame = response.body_mut().frame().await.expect("the stream goes on").unwrap();
        read.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    read
}

#[tokio::test]
async fn several_viewers_get_the_past_and_what_follows() {
    let page = Page::open().await;
    page.hub.push(&note("past\nlines"));
    let cookie = page.cookie().await;
    let mut viewers = Vec::new();
    for _ in 0..3 {
        let mut viewer = page.get("/events", &[("cookie", &cookie)]).await;
        assert_eq!(viewer.headers()["content-type"], "text/event-stream");
        let past = read_until(&mut viewer, "event: ready").await;
        assert!(past.contains("past\\nlines") && past.starts_with("event: state\ndata: {"), "{past}");
        viewers.push(viewer);
    }
    page.hub.push(&note("next"));
    for viewer in &mut viewers {
        read_until(viewer, "\"next\"").await;
    }
    page.hub.close();
    for viewer in viewers {
        viewer.into_body().collect().await.expect("the stream ends");
    }
}
