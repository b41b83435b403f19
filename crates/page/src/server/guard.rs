//! Who may read the page: the token of the URL is exchanged for a cookie, and requests must come from this page's origin.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha2::{Digest as _, Sha256};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The secrets of a server.
#[derive(Debug)]
pub(super) struct Guard {
    token: String,
    /// A token for one request, until it was used.
    once: Mutex<Option<String>>,
    session: String,
    cookie: String,
    hosts: [String; 2],
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The Host header names another host: a DNS name that was pointed here.
    Host,
    /// The request comes from a page of another origin.
    Origin,
    /// There is neither the cookie nor the token.
    Token,
}

impl Guard {
    /// Builds new secrets for a server on a port.
    pub(super) fn new(port: u16) -> Self {
        Self {
            token: secret(),
            once: Mutex::new(None),
            session: secret(),
            // Cookies are shared by all ports of a host.
            cookie: format!("meshy-page-{port}"),
            hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")],
        }
    }

    /// Returns the token of the URL.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Returns a new token that opens the page once; it replaces an earlier one.
    pub(super) fn token_for_once(&self) -> String {
        let token = secret();
        *self.once.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        token
    }

    /// Returns the cookie that the token is exchanged for.
    pub(super) fn set_cookie(&self) -> HeaderValue {
        let text = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.session);
        // Letters, digits and punctuation of ASCII.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Returns whether the query of a URL has the token.
    pub(super) fn has_token(&self, query: Option<&str>) -> bool {
        let token = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("token=")));
        let Some(token) = token else { return false };
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        same(token, &self.token) || once.take_if(|own| same(token, own)).is_some()
    }

    /// Checks where a request comes from, and whether it has the cookie.
    ///
    /// # Errors
    /// The reason for which the request is refused.
    pub(super) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        self.place(method, headers)?;
        let cookies = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
        let mut pairs = cookies.flat_map(|header| header.split(';')).filter_map(|pair| pair.split_once('='));
        let known =
            pairs.any(|(name, value)| name.trim() == self.cookie && same(value.trim(), &self.session));
        if known { Ok(()) } else { Err(Refused::Token) }
    }

    /// Checks where a request comes from.
    ///
    /// # Errors
    /// The reason for which the request is refused.
    pub(super) fn place(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()).ok_or(Refused::Host)?;
        if hosts.next().is_some() || !self.hosts.iter().any(|own| own == host) {
            return Err(Refused::Host);
        }
        match headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default()) {
            Some(origin) if origin.strip_prefix("http://") != Some(host) => return Err(Refused::Origin),
            None if method != Method::GET && method != Method::HEAD => return Err(Refused::Origin),
            _ => {}
        }
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        match (header(FETCH_SITE), header(FETCH_MODE)) {
            // A link on another page may open this one; no other page may embed or read it.
            (Some("cross-site" | "same-site"), mode) if mode != Some("navigate") => Err(Refused::Origin),
            _ => Ok(()),
        }
    }
}

fn secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>())
}

/// Compares secrets by their digests, so that the time shows nothing of their content.
fn same(given: &str, own: &str) -> bool {
    Sha256::digest(given) == Sha256::digest(own)
}
