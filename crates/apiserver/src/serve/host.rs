//! The names under which clients may address this server.

use http::{HeaderMap, Uri, header};

/// Names in the certificate of the server.
const NAMES: [&str; 4] = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"];

/// Returns whether a request names this machine, in the Host header, in the target (an absolute URI of HTTP/1.1 or
/// `:authority` of HTTP/2), or in both with the same text. A web page that resolves its own name to loopback (DNS
/// rebinding) sends its own name.
pub(super) fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => match host.to_str() {
            Ok(host) => Some(host),
            Err(_) => return false,
        },
        (Some(_), Some(_)) => return false,
    };
    match (host, uri.authority().map(http::uri::Authority::as_str)) {
        (None, None) => false,
        (Some(host), None) | (None, Some(host)) => is_local_host(host),
        (Some(host), Some(authority)) => host.eq_ignore_ascii_case(authority) && is_local_host(host),
    }
}

/// Returns whether a host with an optional port (RFC 3986, without user information) names this machine.
fn is_local_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix("[::1]") {
        Some(port) => ("localhost", port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_local_request(target: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().expect("a value"));
        }
        is_local(&target.parse().expect("a target"), &headers)
    }

    #[test]
    fn names_of_this_machine_are_accepted() {
        for host in [
            "127.0.0.1:6443",
            "localhost",
            "LOCALHOST:1",
            "[::1]",
            "[::1]:6443",
            "kubernetes",
            "kubernetes.default.svc:443",
        ] {
            assert!(is_local_request("/api", &[host]), "{host}");
        }
        assert!(is_local_request("https://localhost:6443/api", &[]), ":authority of HTTP/2");
        assert!(is_local_request("https://localhost:6443/api", &["localhost:6443"]));
    }

    #[test]
    fn hosts_that_resemble_this_machine_are_rejected() {
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "[::1].evil.example",
            "[::1]evil.example",
            "[localhost]evil.example",
            "[localhost]",
            "[127.0.0.1]",
            "::1",
            "[::1",
            "kubernetes:80@evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost:evil",
            "localhost:",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "localhost/evil.example",
            "localhost evil.example",
            "localhost,evil.example",
            "localhost.",
            "10.0.0.1",
        ] {
            assert!(!is_local_request("/api", &[host]), "{host}");
        }
    }

    #[test]
    fn several_hosts_must_not_disagree() {
        assert!(!is_local_request("/api", &[]));
        assert!(!is_local_request("/api", &["localhost", "evil.example"]));
        assert!(!is_local_request("/api", &["localhost", "localhost"]));
        assert!(!is_local_request("https://evil.example/api", &["localhost"]));
        assert!(!is_local_request("https://localhost/api", &["evil.example"]));
        assert!(!is_local_request("https://localhost/api", &["127.0.0.1"]));
        assert!(!is_local_request("https://kubernetes:80@evil.example/api", &[]));
    }
}
