//! Headers that do not pass the proxy.

use http::header::{CONNECTION, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Drops what belongs to one connection and not to the message; hyper frames the body anew.
///
/// `upgrade` keeps the two headers of a protocol switch.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap, upgrade: bool) {
    // One look at all is cheaper than six searches, and most messages have `connection` at most.
    let (mut connection, mut others, mut named) = (false, false, Vec::new());
    for (name, value) in headers.iter().filter(|(name, _)| is_hop_by_hop(name)) {
        if name != CONNECTION {
            others = true;
            continue;
        }
        connection = true;
        // Whatever the connection header names goes too, else a peer could hide a header from this hop only.
        let names = value.to_str().unwrap_or_default().split(',').map(str::trim);
        let names = names.filter(|name| !stays(name, upgrade));
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
        headers.remove(&PROXY_CONNECTION);
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

/// Whether naming a header in `connection` does not drop it: what routes or frames the message, and what is treated on
/// its own.
fn stays(name: &str, upgrade: bool) -> bool {
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

/// Drops every header by which the mesh talks to itself: a caller's own are never believed.
pub(crate) fn strip_mesh(headers: &mut HeaderMap) {
    if has_mesh(headers) {
        let names: Vec<_> = headers.keys().filter(|name| is_mesh(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Whether any of those headers is there.
pub(crate) fn has_mesh(headers: &HeaderMap) -> bool {
    headers.keys().any(is_mesh)
}

fn is_mesh(name: &HeaderName) -> bool {
    name.as_str().starts_with("l5d-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn headers_of_one_connection_and_those_it_names_are_dropped() {
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
    fn a_protocol_switch_keeps_its_two_headers_and_trailers_may_be_asked_for() {
        let mut map = headers(&[("connection", "Upgrade"), ("upgrade", "websocket"), ("te", "trailers")]);
        strip_hop_by_hop(&mut map, true);
        let kept = [("connection", "upgrade"), ("upgrade", "websocket"), ("te", "trailers")];
        assert_eq!(map, headers(&kept));
    }

    #[test]
    fn a_callers_own_mesh_headers_are_dropped() {
        let names =
            ["l5d-dst-override", "l5d-dst-canonical", "l5d-client-id", "l5d-retry-http", "l5d-timeout"];
        let mut map: HeaderMap =
            names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x"))).collect();
        map.append("l5d-dst-override", HeaderValue::from_static("y"));
        map.insert("accept", HeaderValue::from_static("z"));
        strip_mesh(&mut map);
        assert_eq!(map, headers(&[("accept", "z")]));
    }
}
