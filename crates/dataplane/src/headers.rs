//! Linkerd's headers, and the headers that a proxy does not forward.

use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

/// Names the service in ingress mode.
pub(crate) static DST_OVERRIDE: HeaderName = HeaderName::from_static("l5d-dst-override");
/// Passes the service's name to the server's proxy.
pub(crate) static DST_CANONICAL: HeaderName = HeaderName::from_static("l5d-dst-canonical");
/// Passes the caller's identity to the application.
pub(crate) static CLIENT_ID: HeaderName = HeaderName::from_static("l5d-client-id");
/// Why a proxy synthesized the response.
pub(crate) static PROXY_ERROR: HeaderName = HeaderName::from_static("l5d-proxy-error");
/// `close` makes the caller's proxy close the caller's connection.
pub(crate) static PROXY_CONNECTION: HeaderName = HeaderName::from_static("l5d-proxy-connection");

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static HOP_PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Whether a comma-separated list header contains a word, in any case and on any of its lines.
pub(crate) fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Returns the host of a request, with its port if it names one.
pub(crate) fn host<B>(request: &Request<B>) -> Option<&str> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    request.uri().authority().map(|authority| authority.as_str()).or(host)
}

/// Whether a request requests an upgrade of its connection to another protocol.
pub(crate) fn wants_upgrade<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && request.headers().contains_key(UPGRADE)
        && lists(request.headers(), &CONNECTION, "upgrade")
}

/// Removes the headers of one connection, and those that `connection` names. hyper frames the body of what is sent.
///
/// `upgrade` keeps the two headers of a protocol switch.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap, upgrade: bool) {
    // One pass over all headers is cheaper than six lookups; most messages have `connection` at most.
    let (mut connection, mut others, mut named) = (false, false, Vec::new());
    for (name, value) in headers.iter().filter(|(name, _)| is_hop_by_hop(name)) {
        if name != CONNECTION {
            others = true;
            continue;
        }
        connection = true;
        let names = value.to_str().unwrap_or_default().split(',').map(str::trim);
        let names = names.filter(|name| !is_kept(name, upgrade));
        named.extend(names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()));
    }
    if connection {
        headers.remove(CONNECTION);
        for name in named {
            headers.remove(name);
        }
    }
    if others {
        headers.remove(&KEEP_ALIVE);
        headers.remove(&HOP_PROXY_CONNECTION);
        headers.remove(TRANSFER_ENCODING);
        if headers.get(TE).is_some_and(|te| te != "trailers") {
            headers.remove(TE);
        }
        if !upgrade {
            headers.remove(UPGRADE);
        }
    }
    if upgrade && (connection || others) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Whether a header stays although `connection` names it: it routes or frames the message, or is handled separately.
fn is_kept(name: &str, upgrade: bool) -> bool {
    let is = |word: &str| name.eq_ignore_ascii_case(word);
    is("keep-alive") || is("te") || is("host") || is("content-length") || (is("upgrade") && upgrade)
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name.len(), 2 | 7 | 10 | 16 | 17)
        && matches!(
            name,
            "te" | "upgrade" | "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding"
        )
}

/// Removes every `l5d-*` header. Proxies use them among each other; a caller's or an application's own are not trusted.
pub(crate) fn strip_l5d(headers: &mut HeaderMap) {
    if has_l5d(headers) {
        let names: Vec<_> = headers.keys().filter(|name| is_l5d(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Whether there is an `l5d-*` header.
pub(crate) fn has_l5d(headers: &HeaderMap) -> bool {
    headers.keys().any(is_l5d)
}

fn is_l5d(name: &HeaderName) -> bool {
    name.as_str().starts_with("l5d-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn headers_of_one_connection_and_those_it_names_are_removed() {
        let mut map = headers(&[
            ("connection", "close, X-Secret,host,content-length"),
            ("x-secret", "1"),
            ("host", "a"),
            ("content-length", "3"),
            ("keep-alive", "1"),
            ("proxy-connection", "x"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("accept", "b"),
            ("x-other", "1"),
        ]);
        map.append(CONNECTION, HeaderValue::from_static("keep-alive, X-Other"));
        strip_hop_by_hop(&mut map, false);
        assert_eq!(map, headers(&[("host", "a"), ("content-length", "3"), ("accept", "b")]));
    }

    #[test]
    fn a_protocol_switch_keeps_its_two_headers_and_te_trailers_stays() {
        let mut map = headers(&[("connection", "Upgrade"), ("upgrade", "websocket"), ("te", "trailers")]);
        strip_hop_by_hop(&mut map, true);
        let kept = [("connection", "upgrade"), ("upgrade", "websocket"), ("te", "trailers")];
        assert_eq!(map, headers(&kept));
    }

    #[test]
    fn every_l5d_header_is_removed() {
        let names =
            ["l5d-dst-override", "l5d-dst-canonical", "l5d-client-id", "l5d-retry-http", "l5d-timeout"];
        let mut map: HeaderMap =
            names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x"))).collect();
        map.append("l5d-dst-override", HeaderValue::from_static("y"));
        map.insert("accept", HeaderValue::from_static("z"));
        strip_l5d(&mut map);
        assert_eq!(map, headers(&[("accept", "z")]));
    }
}
