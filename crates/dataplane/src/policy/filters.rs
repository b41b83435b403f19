//! Filters of HTTPRoutes: header changes and redirects.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

/// One filter of a rule or a backend.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Changes the request's headers.
    RequestHeaders(HeaderModifier),
    /// Changes the response's headers.
    ResponseHeaders(HeaderModifier),
    /// Responds with a redirect; the request is not sent to a backend.
    Redirect(Redirect),
}

/// Headers to set, add and remove, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderModifier {
    /// Replaces all values of the header.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Adds a value to the header.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Removes all values of the header.
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

/// The target of a redirect; parts that are `None` are taken from the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The host.
    pub hostname: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The path.
    pub path: Option<PathRewrite>,
    /// The status; 302 if `None`.
    pub status: Option<StatusCode>,
}

/// A new path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// Replaces the path and the query.
    Full(String),
    /// Replaces the prefix that the rule matched; the rest of the path and the query stay.
    Prefix(String),
}

impl PathRewrite {
    fn apply(&self, uri: &Uri, matched: Option<&str>) -> String {
        let replacement = match self {
            Self::Full(path) => return path.clone(),
            Self::Prefix(replacement) => replacement.trim_end_matches('/'),
        };
        let matched = matched.unwrap_or("/").trim_end_matches('/');
        let rest = uri.path().strip_prefix(matched).unwrap_or(uri.path());
        let path = if replacement.is_empty() && rest.is_empty() { "/" } else { replacement };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{path}{rest}{query}")
    }
}

impl Redirect {
    pub(crate) fn status(&self) -> StatusCode {
        self.status.unwrap_or(StatusCode::FOUND)
    }

    /// Returns the value of `location` for a request with this URI and host; `matched` is the path prefix that the rule
    /// matched.
    pub(crate) fn location(
        &self,
        uri: &Uri,
        host: Option<&str>,
        matched: Option<&str>,
    ) -> Option<HeaderValue> {
        let (name, request_port) = match host?.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port.parse().ok()),
            _ => (host?, None),
        };
        let scheme = self.scheme.as_deref().or(uri.scheme_str()).unwrap_or("http");
        // Another scheme has another default port, so the request's port is not kept.
        let port = self.port.or(if self.scheme.is_some() { None } else { request_port });
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = match &self.path {
            Some(path) => path.apply(uri, matched),
            None => uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        };
        let hostname = self.hostname.as_deref().unwrap_or(name);
        HeaderValue::try_from(format!("{scheme}://{hostname}{port}{path}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_keeps_the_parts_that_it_does_not_replace() {
        let uri: Uri = "/a?b=c".parse().unwrap();
        let to = Redirect { hostname: Some("other".into()), ..Redirect::default() };
        assert_eq!(to.location(&uri, Some("web:9090"), None).unwrap(), "http://other:9090/a?b=c");
        let path = Some(PathRewrite::Full("/x".into()));
        let secure = Redirect { scheme: Some("https".into()), path, ..Redirect::default() };
        assert_eq!(secure.location(&uri, Some("web:9090"), None).unwrap(), "https://web/x");
    }

    #[test]
    fn a_redirect_replaces_the_prefix_that_the_rule_matched() {
        let replaced = |replacement: &str, matched: &str, uri: &str| {
            let path = Some(PathRewrite::Prefix(replacement.into()));
            let to = Redirect { path, ..Redirect::default() };
            let location = to.location(&uri.parse().unwrap(), Some("web"), Some(matched)).unwrap();
            location.to_str().unwrap().strip_prefix("http://web").unwrap().to_owned()
        };
        assert_eq!(replaced("/new", "/old", "/old/a?b=1"), "/new/a?b=1");
        assert_eq!(replaced("/new/", "/old/", "/old"), "/new");
        assert_eq!(replaced("/", "/old", "/old/a"), "/a");
        assert_eq!(replaced("/", "/old", "/old"), "/");
        assert_eq!(replaced("/new", "/", "/a"), "/new/a");
    }
}
