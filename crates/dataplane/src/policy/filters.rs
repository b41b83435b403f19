//! What a route does to the headers of its requests and answers.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

/// One filter of a rule or a backend.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Changes the request's headers.
    RequestHeaders(HeaderModifier),
    /// Changes the answer's headers.
    ResponseHeaders(HeaderModifier),
    /// Answers with a redirect instead of asking a backend.
    Redirect(Redirect),
}

/// Headers to set, add and remove, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderModifier {
    /// Replaces every value of the name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Adds one more value.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Drops every value of the name.
    pub remove: Vec<HeaderName>,
}

impl HeaderModifier {
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
        for name in &self.remove {
            headers.remove(name);
        }
    }
}

/// Where a redirect points; what is not given is taken from the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The host to go to.
    pub hostname: Option<String>,
    /// The port to go to.
    pub port: Option<u16>,
    /// The whole path to go to.
    pub path: Option<String>,
    /// 302 when not given.
    pub status: Option<StatusCode>,
}

impl Redirect {
    pub(crate) fn status(&self) -> StatusCode {
        self.status.unwrap_or(StatusCode::FOUND)
    }

    /// The `location` for a request to this address of this host.
    pub(crate) fn location(&self, uri: &Uri, host: Option<&str>) -> Option<HeaderValue> {
        let (name, own_port) = match host?.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port.parse().ok()),
            _ => (host?, None),
        };
        let scheme = self.scheme.as_deref().or(uri.scheme_str()).unwrap_or("http");
        // A changed scheme takes the port of the old one with it.
        let port = self.port.or(if self.scheme.is_some() { None } else { own_port });
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path =
            self.path.as_deref().unwrap_or_else(|| uri.path_and_query().map_or("/", |path| path.as_str()));
        let hostname = self.hostname.as_deref().unwrap_or(name);
        HeaderValue::try_from(format!("{scheme}://{hostname}{port}{path}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_keeps_what_it_does_not_name() {
        let uri: Uri = "/a?b=c".parse().unwrap();
        let to = Redirect { hostname: Some("other".into()), ..Redirect::default() };
        assert_eq!(to.location(&uri, Some("web:9090")).unwrap(), "http://other:9090/a?b=c");
        let secure =
            Redirect { scheme: Some("https".into()), path: Some("/x".into()), ..Redirect::default() };
        assert_eq!(secure.location(&uri, Some("web:9090")).unwrap(), "https://web/x");
    }
}
