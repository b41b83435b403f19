//! Where requests go and what they are.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, TE};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

use super::grpc;

/// The header that carries a request's id through every attempt.
pub const REQUEST_ID: &str = "meshy-request-id";

/// The response header with the number of the attempt, which the test service counts.
pub const ATTEMPT: &str = "meshy-attempt";

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// An address.
    Address(SocketAddr),
    /// A host name, which is resolved for each connection, and a port.
    Name(String, u16),
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// The version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: without TLS by prior knowledge, with TLS an error where the server does not choose it.
    Http2,
    /// HTTP/2 where ALPN chooses it, else HTTP/1.1.
    Negotiated,
}

/// One kind of request to one server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to connect.
    pub server: Server,
    /// The version of HTTP.
    pub protocol: Protocol,
    /// Encrypts the connection; without it, requests are sent as they are.
    #[cfg(feature = "tls")]
    pub tls: Option<super::tls::Tls>,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: Uri,
    /// Headers, the host among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether the response's body carries the outcome, as `/bounce` has it.
    pub bounce: bool,
    /// Whether this is a gRPC call: its status is in the trailers.
    pub grpc: bool,
}

impl Target {
    /// A `GET` of a path with a host.
    ///
    /// # Errors
    /// Returns an error if the path or the host cannot be sent.
    pub fn new(server: impl Into<Server>, host: &str, path: &str) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_str(host).with_context(|| format!("invalid host `{host}`"))?;
        headers.insert(HOST, host);
        let path = path.parse().with_context(|| format!("invalid path `{path}`"))?;
        Ok(Self {
            server: server.into(),
            protocol: Protocol::Http1,
            #[cfg(feature = "tls")]
            tls: None,
            method: Method::GET,
            path,
            headers,
            body: Bytes::new(),
            bounce: false,
            grpc: false,
        })
    }

    /// Returns the target as a unary gRPC call with a message; the path `/` becomes the test service's method.
    #[must_use]
    pub fn into_grpc(mut self, message: &[u8]) -> Self {
        self.protocol = Protocol::Http2;
        self.method = Method::POST;
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        self.headers.insert(TE, HeaderValue::from_static("trailers"));
        if self.path.path() == "/" {
            self.path = Uri::from_static(grpc::METHOD);
        }
        self.body = grpc::frame(message);
        (self.bounce, self.grpc) = (false, true);
        self
    }

    /// Returns a `GET` of a URL whose host is an address or a name that this machine resolves now.
    ///
    /// # Errors
    /// Returns an error if [`Target::named`] does, or the host is unknown.
    pub async fn of_url(url: &str) -> anyhow::Result<Self> {
        let mut target = Self::named(url)?;
        if let Server::Name(host, port) = target.server.clone() {
            let found = tokio::net::lookup_host((host.as_str(), port)).await;
            let mut found = found.with_context(|| format!("cannot find host `{host}`"))?;
            target.server = found.next().with_context(|| format!("host `{host}` has no address"))?.into();
        }
        Ok(target)
    }

    /// Returns a `GET` of a URL to whose host `address` leads.
    ///
    /// # Errors
    /// As [`Target::named`].
    pub fn of_url_by(url: &str, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { server: address.into(), ..Self::named(url)? })
    }

    /// Returns a `GET` of a URL whose host is resolved for each connection. With `https`, the certificate is checked against the
    /// authorities of the system. `grpc://HOST[:PORT]/SERVICE/METHOD` is a call with an empty message, without TLS.
    ///
    /// # Errors
    /// Returns an error if the text is not a URL with `http`, `https` or `grpc` and a host.
    pub fn named(url: &str) -> anyhow::Result<Self> {
        let parsed: Uri = url.parse().with_context(|| format!("invalid URL `{url}`"))?;
        let Some(authority) = parsed.authority() else { bail!("URL `{url}` has no host") };
        let default_port = match parsed.scheme_str() {
            Some("http" | "grpc") => 80,
            #[cfg(feature = "tls")]
            Some("https") => 443,
            _ => bail!("the scheme of URL `{url}` is not supported"),
        };
        let host = authority.host().trim_matches(['[', ']']);
        let port = port(authority, default_port).with_context(|| format!("invalid URL `{url}`"))?;
        let server = match host.parse() {
            Ok(address) => SocketAddr::new(address, port).into(),
            Err(_) => Server::Name(host.to_owned(), port),
        };
        let path = parsed.path_and_query().map_or("/", |path| path.as_str());
        let mut target = Self::new(server, authority.as_str(), path)?;
        target.bounce = parsed.path() == "/bounce";
        #[cfg(feature = "tls")]
        if default_port == 443 {
            target.tls = Some(super::tls::Tls::of_system()?);
            target.protocol = Protocol::Negotiated;
        }
        Ok(if parsed.scheme_str() == Some("grpc") { target.into_grpc(&[]) } else { target })
    }

    /// Adds a header written as `Name: value`; replaces one of that name.
    ///
    /// # Errors
    /// Returns an error if the line has no colon, or a name or value that cannot be sent.
    pub fn header(&mut self, line: &str) -> anyhow::Result<()> {
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("invalid header `{line}`, expected `Name: value`"))?;
        let name: HeaderName =
            name.trim().parse().with_context(|| format!("invalid header name `{name}`"))?;
        let value =
            HeaderValue::from_str(value.trim()).with_context(|| format!("invalid header value `{value}`"))?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Returns the host of the requests, without a port.
    #[cfg(feature = "tls")]
    pub(crate) fn host(&self) -> &str {
        let host = self.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let authority = host.parse::<http::uri::Authority>();
        let end = authority.map_or(host.len(), |authority| authority.host().len());
        host[..end].trim_matches(['[', ']'])
    }

    /// Returns the request with an id. HTTP/2 has the host in the URI and not in a header.
    pub(crate) fn request(&self, id: HeaderValue, http2: bool) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id);
        if http2 && let Some(host) = request.headers_mut().remove(HOST) {
            let mut parts = self.path.clone().into_parts();
            parts.authority = host.to_str().ok().and_then(|host| host.parse().ok());
            parts.scheme = Some(self.scheme());
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| self.path.clone());
        }
        request
    }

    fn scheme(&self) -> http::uri::Scheme {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return http::uri::Scheme::HTTPS;
        }
        http::uri::Scheme::HTTP
    }
}

/// The port of an authority, or the default of its scheme if it names none.
fn port(authority: &Authority, default: u16) -> anyhow::Result<u16> {
    let named = authority.as_str().rsplit('@').next().and_then(|rest| rest.strip_prefix(authority.host()));
    match (authority.port_u16(), named.and_then(|rest| rest.strip_prefix(':'))) {
        (Some(port), _) => Ok(port),
        (None, None | Some("")) => Ok(default),
        (None, Some(text)) => bail!("port `{text}` is not a number from 0 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_server_a_host_and_a_path() {
        let target = Target::named("http://127.0.0.1:8080/bounce?x=1").unwrap();
        assert_eq!(target.server.to_string(), "127.0.0.1:8080");
        assert_eq!(target.headers["host"], "127.0.0.1:8080");
        assert_eq!(target.path.to_string(), "/bounce?x=1");
        assert!(target.bounce);
        let target = Target::named("http://cart.shop/x").unwrap();
        assert_eq!(target.server, Server::Name("cart.shop".to_owned(), 80));
        let address = "[::1]:7".parse().unwrap();
        let target = Target::of_url_by("http://cart.shop:8080/x", address).unwrap();
        assert_eq!(
            (target.server, target.headers["host"].as_bytes()),
            (address.into(), &b"cart.shop:8080"[..])
        );
        for wrong in
            ["/path", "ftp://x/", "http://", "http://x:65536/", "http://x:9x/", "http://[::1]:70000/"]
        {
            assert!(Target::named(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_grpc_url_is_a_call_over_http2() {
        let target = Target::named("grpc://cart.shop:8080/shop.Cart/Add").unwrap();
        let request = target.request(HeaderValue::from_static("1"), true);
        assert_eq!(request.uri(), "http://cart.shop:8080/shop.Cart/Add");
        assert_eq!((request.method(), target.protocol, target.grpc), (&Method::POST, Protocol::Http2, true));
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        assert_eq!(target.body, b"\0\0\0\0\0".as_slice());
        let default = Target::named("grpc://cart.shop").unwrap();
        assert_eq!(
            (default.path.path(), default.server),
            ("/minimal.v1.Minimal/Call", Server::Name("cart.shop".to_owned(), 80))
        );
    }

    #[test]
    fn a_request_over_http2_has_its_host_in_the_uri() {
        let target = Target::named("http://cart.shop:8080/x?y=1").unwrap();
        let request = target.request(HeaderValue::from_static("1"), true);
        assert_eq!(request.uri(), "http://cart.shop:8080/x?y=1");
        assert!(!request.headers().contains_key("host"));
        let request = target.request(HeaderValue::from_static("1"), false);
        assert_eq!(
            (request.uri().to_string(), request.headers()["host"].to_str().unwrap()),
            ("/x?y=1".to_owned(), "cart.shop:8080")
        );
    }
}
