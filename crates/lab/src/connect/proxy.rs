//! The proxy on the way to an API server, chosen as kubectl (Go's `net/http`) chooses it.
//!
//! `proxy-url` of the cluster's entry wins. Else `HTTPS_PROXY` is used, or `HTTP_PROXY` for a server without TLS, unless the
//! server is on this machine's loopback or in `NO_PROXY`.

use std::net::IpAddr;

use anyhow::anyhow;
use http::Uri;

use meshy_base::error::{Advise, Exit};

/// Returns the proxy for a server. `named` is `proxy-url`; `variable` reads the environment.
///
/// # Errors
/// The proxy's URL is invalid or of a kind that is not supported. The error names where it is from, not the URL, which may
/// hold a password.
pub(super) fn choose(
    server: &Uri,
    named: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<Uri>> {
    if let Some(named) = named.filter(|url| !url.is_empty()) {
        return parse(named, "`proxy-url` of the cluster").map(Some);
    }
    let any = |names: [&'static str; 2]| {
        names
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()).map(|value| (name, value)))
    };
    let https = server.scheme_str() == Some("https");
    let proxy = any(if https { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] });
    let Some((name, proxy)) = proxy else { return Ok(None) };
    let no_proxy = any(["NO_PROXY", "no_proxy"]).map(|(_, list)| list).unwrap_or_default();
    let port = server.port_u16().unwrap_or(if https { 443 } else { 80 });
    if !applies(&no_proxy, server.host().unwrap_or_default(), port) {
        return Ok(None);
    }
    parse(&proxy, &format!("`{name}`")).map(Some)
}

/// Parses a proxy's URL; one without a scheme is an HTTP proxy.
fn parse(url: &str, source: &str) -> anyhow::Result<Uri> {
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let uri: Option<Uri> = with_scheme.parse().ok();
    let uri = uri.filter(|uri: &Uri| uri.host().is_some_and(|host| !host.is_empty()));
    let uri = uri.ok_or_else(|| anyhow!("{source} is not the URL of a proxy")).exit(Exit::Usage)?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        other => Err(anyhow!(
            "{source} is a proxy of kind `{}`, which is not supported",
            other.unwrap_or_default()
        ))
        .hint("use an HTTP proxy, or unset it")
        .exit(Exit::Usage),
    }
}

/// Whether a proxy applies to a host: it never does for loopback, nor for what `NO_PROXY` lists.
fn applies(no_proxy: &str, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    let address = address.map(|address| address.to_canonical());
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return false;
    }
    let mut entries = no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase());
    !entries.any(|entry| matches(&entry, &host, address, port))
}

/// Whether an entry of `NO_PROXY` names a host: `*`, an address, a range of addresses, a domain with its subdomains
/// (`example.com`), or only the subdomains (`.example.com`, `*.example.com`); each but a range with an optional port.
fn matches(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = range(entry) {
        return address.is_some_and(|address| in_range(address, network, bits));
    }
    let (name, wanted) = split_port(entry);
    if wanted.is_some_and(|wanted| wanted != port.to_string()) {
        return false;
    }
    if let Ok(named) = name.parse::<IpAddr>() {
        return address == Some(named.to_canonical());
    }
    if address.is_some() {
        return false;
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
        None if name.is_empty() => false,
        None => host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
    }
}

fn range(entry: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = entry.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

fn in_range(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    (address ^ network).checked_shr(width - u32::from(bits)).unwrap_or(0) == 0
}

/// Splits `host:port` and `[address]:port`; an IPv6 address without brackets has no port.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (address, rest.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(server: &str, named: Option<&str>, environment: &[(&str, &str)]) -> String {
        let server: Uri = server.parse().unwrap();
        let variable =
            |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        match choose(&server, named, variable) {
            Ok(None) => "none".to_owned(),
            Ok(Some(proxy)) => proxy.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn loopback_never_goes_through_a_proxy_of_the_environment() {
        for host in ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]"] {
            for proxy in ["http://proxy:3128", "socks5://proxy", "::not a url::"] {
                let server = format!("https://{host}:6443");
                assert_eq!(chosen(&server, None, &[("HTTPS_PROXY", proxy)]), "none", "{host}");
            }
        }
    }

    #[test]
    fn the_variables_are_read_as_go_reads_them() {
        let https = "https://api.example.com";
        for (server, environment, expected) in [
            (https, vec![], "none"),
            (https, vec![("HTTPS_PROXY", "http://one:1"), ("https_proxy", "http://two:2")], "http://one:1/"),
            (https, vec![("HTTPS_PROXY", ""), ("https_proxy", "http://two:2")], "http://two:2/"),
            (https, vec![("HTTP_PROXY", "http://one:1"), ("ALL_PROXY", "http://two:2")], "none"),
            (
                "http://api.example.com",
                vec![("http_proxy", "one:1"), ("HTTPS_PROXY", "http://two:2")],
                "http://one:1/",
            ),
            (https, vec![("HTTPS_PROXY", "one:1")], "http://one:1/"),
            (https, vec![("HTTPS_PROXY", "one")], "http://one/"),
            (https, vec![("HTTPS_PROXY", "https://u:p@one:1")], "https://u:p@one:1/"),
            (
                https,
                vec![("HTTPS_PROXY", "http://u:SECRET@")],
                "error: `HTTPS_PROXY` is not the URL of a proxy",
            ),
            (
                https,
                vec![("https_proxy", "socks5://one")],
                "error: `https_proxy` is a proxy of kind `socks5`, which is not supported",
            ),
        ] {
            assert_eq!(chosen(server, None, &environment), expected, "{environment:?}");
        }
    }

    #[test]
    fn the_proxy_of_the_cluster_entry_always_applies() {
        let environment = [("HTTPS_PROXY", "http://one:1"), ("NO_PROXY", "*")];
        for server in ["https://api.example.com", "https://127.0.0.1:6443"] {
            assert_eq!(chosen(server, Some("http://named:1"), &environment), "http://named:1/");
        }
        assert_eq!(chosen("https://h", Some(""), &environment), "none");
        assert_eq!(
            chosen("https://h", Some("ftp://named"), &[]),
            "error: `proxy-url` of the cluster is a proxy of kind `ftp`, which is not supported"
        );
    }

    /// Each expectation was checked against Go 1.26's `http.ProxyFromEnvironment`.
    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        for (list, host, port, proxied) in [
            ("", "example.com", 443, true),
            ("*", "example.com", 443, false),
            ("other.com, *", "example.com", 443, false),
            ("example.com", "example.com", 443, false),
            ("EXAMPLE.com ", "Example.COM", 443, false),
            ("example.com", "api.example.com", 443, false),
            ("example.com", "notexample.com", 443, true),
            (".example.com", "example.com", 443, true),
            (".example.com", "api.example.com", 443, false),
            ("*.example.com", "example.com", 443, true),
            ("*.example.com", "a.b.example.com", 443, false),
            ("example.com:6443", "example.com", 6443, false),
            ("example.com:6443", "example.com", 443, true),
            ("10.0.0.1", "10.0.0.1", 443, false),
            ("10.0.0.1:6443", "10.0.0.1", 443, true),
            ("10.0.0.1:6443", "10.0.0.1", 6443, false),
            ("10.0.0.0/8", "10.200.0.1", 443, false),
            ("10.0.0.0/8", "11.0.0.1", 443, true),
            ("0.0.0.0/0", "11.0.0.1", 443, false),
            ("10.0.0.0/8", "example.com", 443, true),
            ("10.0.0.0/33", "10.0.0.1", 443, true),
            ("fd00::/8", "[fd12::1]", 443, false),
            ("fd00::/8", "[fe12::1]", 443, true),
            ("fd12::1", "[fd12::1]", 443, false),
            ("[fd12::1]:6443", "[fd12::1]", 6443, false),
            ("[fd12::1]:6443", "[fd12::1]", 443, true),
            (",, ,", "example.com", 443, true),
            (":443", "example.com", 443, true),
            ("0.1", "10.0.0.1", 443, true),
            ("com", "example.com", 443, false),
        ] {
            assert_eq!(applies(list, host, port), proxied, "NO_PROXY={list} {host}:{port}");
        }
    }
}
