//! The connection to an API server: each response is checked, so that only a Kubernetes API server can report that something
//! is not there. A web server, a proxy's error page, `{}` or half a body is a [`Failure`] that names the server.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::response::Parts;
use http::{Request, Response, StatusCode};
use kube::client::Body;
use kube::core::Status;
use kube::core::response::reason;
use serde::Deserialize;
use tower::{BoxError, service_fn};

use crate::body::{self, Checked, Unread};
use crate::failure::{Failure, chain, words_of};

/// The largest log or response of a pod behind a proxy path: the metrics of a proxy that talks to a thousand services have
/// some 20 MiB.
const LARGEST_OF_A_POD: usize = 32 << 20;

/// The largest response that is not a success: a `Status` object or an error page.
const LARGEST_ERROR: usize = 4 << 20;

/// Groups that each Kubernetes API server serves.
const GROUPS: [&str; 6] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apps",
    "batch",
    "discovery.k8s.io",
    "networking.k8s.io",
];

/// How much of an unexpected body an error quotes, in characters.
const QUOTED: usize = 120;

/// What Go's HTTP server sends for a path that it does not know: kube-apiserver too, for a group that it does not serve.
const UNKNOWN_PATH: &str = "404 page not found";

/// Returns a client that sends through `plain` to the server at `url`, and checks each response.
pub fn checked(plain: kube::Client, url: &http::Uri) -> kube::Client {
    let server: Arc<str> = url.to_string().trim_end_matches('/').into();
    let namespace = plain.default_namespace().to_owned();
    let checked = service_fn(move |request: Request<Body>| {
        let (plain, exchange) = (plain.clone(), Exchange::of(&request, server.clone()));
        async move { exchange.run(&plain, request).await }
    });
    kube::Client::new(checked, namespace)
}

/// What the body of a response has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// An API object or list, which names its kind.
    Object,
    /// The server's version.
    Version,
    /// What a pod behind a proxy path sends, or a path that is not the API's.
    Anything,
    /// A watch: lines without an end.
    Watch,
    /// A stream without an end that can be waited for: a followed log, an upgraded connection.
    Stream,
}

impl Expected {
    fn of(path: &str, query: &str) -> Self {
        const STREAMS: [&str; 3] = ["portforward", "exec", "attach"];
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let has = |wanted: &str| query.split('&').any(|pair| pair == wanted);
        // `/api/v1/namespaces/NS/pods/NAME/SUBRESOURCE/…`
        match words[..] {
            ["version"] => Self::Version,
            ["api", _, "namespaces", _, _, _, "proxy", ..] => Self::Anything,
            ["api", _, "namespaces", _, "pods", _, sub] if STREAMS.contains(&sub) => Self::Stream,
            ["api", _, "namespaces", _, "pods", _, "log"] if has("follow=true") => Self::Stream,
            ["api", _, "namespaces", _, "pods", _, "log"] => Self::Anything,
            ["api" | "apis", ..] if has("watch=true") => Self::Watch,
            ["api" | "apis", ..] => Self::Object,
            _ => Self::Anything,
        }
    }
}

/// One request.
struct Exchange {
    server: Arc<str>,
    /// The path is one that an API server may not know.
    optional: bool,
    expected: Expected,
}

impl Exchange {
    fn of(request: &Request<Body>, server: Arc<str>) -> Self {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        Self { server, optional: is_optional(path), expected: Expected::of(path, query) }
    }

    async fn run(&self, plain: &kube::Client, request: Request<Body>) -> Result<Response<Checked>, BoxError> {
        let response = plain.send(request).await.map_err(|error| self.failed(error))?;
        let (head, body) = response.into_parts();
        let limit = match self.expected {
            _ if is_error(head.status) || is_page(&head) => LARGEST_ERROR,
            Expected::Stream => return Ok(Response::from_parts(head, Checked::any(body))),
            Expected::Watch => return Ok(Response::from_parts(head, Checked::watch(body))),
            Expected::Anything => LARGEST_OF_A_POD,
            Expected::Object | Expected::Version => body::TOGETHER,
        };
        let bytes = match body::whole(body, limit).await {
            Ok(bytes) => bytes,
            Err(Unread::Larger(limit)) => {
                return Err(self.unexpected(format!("sent more than {} MiB", limit >> 20)));
            }
            Err(Unread::Lost(error)) => return Err(self.lost(error)),
        };
        if let Some(what) = self.fault(&head, &bytes) {
            return Err(self.unexpected(what));
        }
        let bytes = match head.status {
            _ if self.expected == Expected::Anything => bytes,
            StatusCode::NOT_FOUND if is_unknown_path(&bytes) => not_served(),
            status if status.is_server_error() || status == StatusCode::UNAUTHORIZED => self.named(bytes),
            _ => bytes,
        };
        Ok(Response::from_parts(head, Checked::any(Body::from(bytes))))
    }

    /// A `Status` object whose message names the server.
    fn named(&self, body: Bytes) -> Bytes {
        let Ok(mut status) = serde_json::from_slice::<Status>(&body) else { return body };
        let words = words_of(&status);
        status.message =
            format!("the API server at {} returned status {}: {words}", self.server, status.code);
        serde_json::to_vec(&status).map_or(body, Bytes::from)
    }

    /// What is wrong with a response, as a verb and what the server did.
    fn fault(&self, head: &Parts, body: &[u8]) -> Option<String> {
        if self.expected == Expected::Anything {
            return None;
        }
        let status = head.status;
        if status.is_redirection() {
            let place = head.headers.get(LOCATION).and_then(|place| place.to_str().ok()).unwrap_or("nowhere");
            return Some(format!("redirects to `{}`", quoted(place.as_bytes())));
        }
        if is_error(status) {
            let absent = status == StatusCode::NOT_FOUND && self.optional && is_unknown_path(body);
            let known = absent || kind(body).is_some_and(|kind| kind == "Status");
            return (!known).then(|| format!("returned status {}: {}", status.as_u16(), quoted(body)));
        }
        if is_page(head) {
            return Some("returned a web page".to_owned());
        }
        let fits = match self.expected {
            Expected::Version => serde_json::from_slice::<Version>(body).is_ok(),
            _ => kind(body).is_some_and(|kind| !kind.is_empty()),
        };
        (!fits).then(|| format!("returned what is not an API object: {}", quoted(body)))
    }

    fn failed(&self, error: kube::Error) -> BoxError {
        match error {
            kube::Error::Service(source) => {
                let why = innermost(&*source);
                if is_connect(&*source) {
                    return Failure::Unreachable { server: self.server.clone(), why, source }.into();
                }
                Failure::Lost { server: self.server.clone(), why, source }.into()
            }
            kube::Error::HyperError(source) => self.lost(source.into()),
            // An exec plugin, a token file: not the server's part.
            other => other.into(),
        }
    }

    fn lost(&self, source: BoxError) -> BoxError {
        Failure::Lost { server: self.server.clone(), why: innermost(&*source), source }.into()
    }

    fn unexpected(&self, what: String) -> BoxError {
        Failure::Unexpected { server: self.server.clone(), what }.into()
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error() || status.is_redirection()
}

/// Whether an API server may not know a path: only groups beyond those of each cluster can be absent.
fn is_optional(path: &str) -> bool {
    let group = path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next());
    group.is_some_and(|group| !GROUPS.contains(&group))
}

fn is_unknown_path(body: &[u8]) -> bool {
    body.trim_ascii() == UNKNOWN_PATH.as_bytes()
}

/// The `Status` for [`UNKNOWN_PATH`]: the Kubernetes client does not read "not found" from a text.
fn not_served() -> Bytes {
    let status = Status::failure("the API server does not serve this path", reason::NOT_FOUND);
    serde_json::to_vec(&status.with_code(404)).map_or_else(|_| Bytes::from(UNKNOWN_PATH), Bytes::from)
}

fn is_page(head: &Parts) -> bool {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

/// The kind of an API object; none where the body is not JSON, or not an object of the API.
fn kind(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Kinded {
        kind: Option<String>,
    }
    serde_json::from_slice::<Kinded>(body).ok()?.kind
}

/// What each Kubernetes version since 1.0 has.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "gitVersion")]
    _git_version: String,
}

/// The beginning of a body on one line.
fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * QUOTED)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(QUOTED).collect();
    if line.is_empty() { "an empty body".to_owned() } else { line }
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default().to_lowercase()
}

fn is_connect(error: &(dyn StdError + 'static)) -> bool {
    let ours = |error: &(dyn StdError + 'static)| {
        error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect())
    };
    chain(error).any(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"kind": "Status", "code": 404, "reason": "NotFound"}"#;
    const PODS: &str = "/api/v1/pods";
    const PROFILES: &str = "/apis/linkerd.io/v1alpha2/serviceprofiles";

    /// What is wrong with a response to a GET of this path.
    fn fault(path: &str, status: u16, kind: &str, body: &str) -> Option<String> {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = Response::builder().status(status).header(CONTENT_TYPE, kind).body(()).unwrap();
        Exchange::of(&request, "https://x".into()).fault(&response.into_parts().0, body.as_bytes())
    }

    fn json(path: &str, status: u16, body: &str) -> Option<String> {
        fault(path, status, "application/json", body)
    }

    #[test]
    fn what_an_api_server_sends_passes() {
        assert_eq!(json(PODS, 200, r#"{"kind": "PodList", "items": []}"#), None);
        assert_eq!(json(PODS, 404, STATUS), None);
        assert_eq!(json(PODS, 500, r#"{"kind": "Status"}"#), None);
        assert_eq!(json("/version", 200, r#"{"gitVersion": "v1.35.0", "major": "1"}"#), None);
        assert_eq!(fault(PROFILES, 404, "text/plain", "404 page not found\n"), None);
        let of_a_pod = "/api/v1/namespaces/default/pods/web:80/proxy/page";
        assert_eq!(fault(of_a_pod, 404, "text/html", "<html>"), None, "the response is the pod's");
    }

    #[test]
    fn what_another_server_sends_is_a_failure() {
        for (path, status, kind, body, wanted) in [
            (PODS, 200, "text/html", "<html>", "returned a web page"),
            (PODS, 200, "application/json", "{}", "returned what is not an API object: {}"),
            (
                PODS,
                200,
                "application/json",
                r#"{"kind": "Pod"#,
                r#"returned what is not an API object: {"kind": "Pod"#,
            ),
            (PODS, 200, "application/json", "", "returned what is not an API object: an empty body"),
            (PODS, 404, "text/html", "<html>", "returned status 404: <html>"),
            (PODS, 404, "text/plain", UNKNOWN_PATH, "returned status 404: 404 page not found"),
            ("/apis", 404, "text/plain", UNKNOWN_PATH, "returned status 404: 404 page not found"),
            ("/apis/apps/v1", 404, "text/plain", UNKNOWN_PATH, "returned status 404: 404 page not found"),
            (PROFILES, 404, "text/html", "<html>", "returned status 404: <html>"),
            (PODS, 500, "text/plain", "a\u{1b}[2J\n b", "returned status 500: a[2J b"),
            (PODS, 302, "text/plain", "", "redirects to `nowhere`"),
            ("/version", 200, "application/json", "{}", "returned what is not an API object: {}"),
        ] {
            assert_eq!(fault(path, status, kind, body).as_deref(), Some(wanted), "{path} {status} {body}");
        }
    }

    #[test]
    fn a_stream_is_not_read_to_its_end() {
        assert_eq!(Expected::of(PODS, "a=b&watch=true"), Expected::Watch);
        assert_eq!(Expected::of("/api/v1/namespaces/a/pods/b/log", "follow=true"), Expected::Stream);
        assert_eq!(Expected::of("/api/v1/namespaces/a/pods/b/log", "tailLines=5"), Expected::Anything);
        assert_eq!(Expected::of("/api/v1/namespaces/a/pods/log", ""), Expected::Object, "a pod of that name");
        assert_eq!(Expected::of("/apis/apps/v1/deployments", "watch=false"), Expected::Object);
    }
}
