//! Where requests go and what they are.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

/// The header that carries a request's id through every attempt.
pub const REQUEST_ID: &str = "meshy-request-id";

/// The response header with the number of the attempt, which the test service counts.
pub const ATTEMPT: &str = "meshy-attempt";

/// One kind of request to one address.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: Uri,
    /// Headers, the host among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether the answer's body carries the outcome, as `/bounce` has it.
    pub bounce: bool,
}

impl Target {
    /// The first use case of the original demo: minimal-service is asked to ask bounced-service.
    pub fn service_case(ingress: SocketAddr) -> Self {
        let order =
            r#"{"rebound":"true","endpoint":"http://bounced-service.default.svc.cluster.local:9090"}"#;
        let mut target = Self::new(ingress, "minimal-service", "/bounce").expect("a fixed target");
        target.method = Method::POST;
        target.body = Bytes::from_static(order.as_bytes());
        target.bounce = true;
        target
    }

    /// The second use case of the original demo: bounced-service is asked through the ingress.
    pub fn ingress_case(ingress: SocketAddr) -> Self {
        let mut target = Self::new(ingress, "bounced-service", "/bounced-service").expect("a fixed target");
        target.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        target
    }

    /// A `GET` of a path with a host.
    ///
    /// # Errors
    /// The path or the host cannot be sent.
    pub fn new(address: SocketAddr, host: &str, path: &str) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_str(host).with_context(|| format!("`{host}` is not a host"))?;
        headers.insert(http::header::HOST, host);
        let path = path.parse().with_context(|| format!("`{path}` is not a path"))?;
        Ok(Self { address, method: Method::GET, path, headers, body: Bytes::new(), bounce: false })
    }

    /// A URL of plain HTTP whose host is an address or a name that this machine knows.
    ///
    /// # Errors
    /// It is not such a URL; the name is unknown.
    pub async fn of_url(url: &str) -> anyhow::Result<Self> {
        let parsed: Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
        let Some(authority) = parsed.authority() else { bail!("`{url}` names no host") };
        if parsed.scheme_str() != Some("http") {
            bail!("`{url}` is not plain http://");
        }
        let port = authority.port_u16().unwrap_or(80);
        let mut found = tokio::net::lookup_host((authority.host().trim_matches(['[', ']']), port))
            .await
            .with_context(|| format!("cannot find host `{}`", authority.host()))?;
        let address = found.next().with_context(|| format!("host `{}` has no address", authority.host()))?;
        Self::of_url_by(url, address)
    }

    /// The same for a Service of the cluster, to which `address` leads.
    ///
    /// # Errors
    /// It is not such a URL.
    pub fn of_url_by(url: &str, address: SocketAddr) -> anyhow::Result<Self> {
        let parsed: Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
        let Some(authority) = parsed.authority() else { bail!("`{url}` names no host") };
        let path = parsed.path_and_query().map_or("/", |path| path.as_str());
        let mut target = Self::new(address, authority.as_str(), path)?;
        target.bounce = parsed.path() == "/bounce";
        Ok(target)
    }

    /// Adds a header written as `Name: value`; replaces one of that name.
    ///
    /// # Errors
    /// It is not written so.
    pub fn header(&mut self, line: &str) -> anyhow::Result<()> {
        let (name, value) = line.split_once(':').with_context(|| format!("`{line}` is not `Name: value`"))?;
        let name: HeaderName =
            name.trim().parse().with_context(|| format!("`{name}` is not a header's name"))?;
        let value =
            HeaderValue::from_str(value.trim()).with_context(|| format!("`{value}` cannot be sent"))?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// The request with an id.
    pub(super) fn request(&self, id: HeaderValue) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id);
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_becomes_an_address_a_host_and_a_path() {
        let target = Target::of_url("http://127.0.0.1:8080/bounce?x=1").await.unwrap();
        assert_eq!(target.address.to_string(), "127.0.0.1:8080");
        assert_eq!(target.headers["host"], "127.0.0.1:8080");
        assert_eq!(target.path.to_string(), "/bounce?x=1");
        assert!(target.bounce);
        for wrong in ["/path", "https://127.0.0.1/", "ftp://x/", "http://"] {
            assert!(Target::of_url(wrong).await.is_err(), "{wrong}");
        }
    }
}
