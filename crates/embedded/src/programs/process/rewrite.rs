//! The parts of environment values that name Services.

use std::ops::Range;

/// The ports of a Service by its host name; `None` if there is no such Service.
pub(super) type ServicePorts<'a> = dyn Fn(&str) -> Option<Vec<u16>> + 'a;

/// What separates the items of a value, such as a list of URLs or JSON.
const SEPARATORS: &[char] = &[',', ';', '|', '"', '\'', ' ', '\t', '\n', '(', ')', '{', '}', '<', '>', '\\'];

/// The ends of names of variables whose value can be a host name alone.
const HOST_VARIABLES: [&str; 8] =
    ["HOST", "HOSTNAME", "ADDR", "ADDRESS", "SERVICE", "SVC", "ENDPOINT", "UPSTREAM"];

/// The schemes of HTTP without TLS; the authority of their requests is set to the Service's.
const HTTP_SCHEMES: [&str; 4] = ["http", "grpc", "h2c", "ws"];

/// How a value refers to a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// A host and a port, replaced by a listener's address. `http` is false for schemes of other protocols.
    Authority { port: u16, http: bool },
    /// A host alone, replaced by a loopback address with a listener on each port of the Service.
    Host { ports: Vec<u16> },
}

/// A part of a value that names a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Where the authority or host is in the value.
    pub(super) range: Range<usize>,
    /// The host as it is written.
    pub(super) host: String,
    /// The authority as it is written: the `Host` of the requests.
    pub(super) authority: String,
    pub(super) target: Target,
}

/// Returns the parts of a value that name a Service, in order.
///
/// A URL with a host without dots, and a name below `svc`, count also if the Service does not exist yet.
pub(super) fn references(variable: &str, value: &str, ports: &ServicePorts<'_>) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut start = 0;
    for item in value.split(SEPARATORS) {
        if let Some(mut reference) = reference(variable, item, ports) {
            reference.range = start + reference.range.start..start + reference.range.end;
            found.push(reference);
        }
        // All separators are one byte long.
        start += item.len() + 1;
    }
    found
}

fn reference(variable: &str, item: &str, ports: &ServicePorts<'_>) -> Option<Reference> {
    let (scheme, rest_at) = match item.find("://") {
        Some(at) => (Some(&item[..at]), at + 3),
        None => (None, 0),
    };
    // A prefix of the scheme such as `jdbc:` or `default=` is not part of it.
    let scheme = scheme.map(|scheme| scheme.rsplit([':', '=', '@']).next().unwrap_or(scheme));
    if scheme.is_some_and(|scheme| scheme == "https" || scheme.is_empty()) {
        return None;
    }
    let rest = &item[rest_at..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let user_end = rest[..end].rfind('@').map_or(0, |at| at + 1);
    let (authority, at) = (&rest[user_end..end], rest_at + user_end);
    // Without a scheme, a path means that it is not an address.
    if scheme.is_none() && end != rest.len() {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok().filter(|port| *port != 0)?)),
        None => (authority, None),
    };
    if !is_host_name(host) {
        return None;
    }
    let existing = ports(host);
    let is_cluster_name =
        host.trim_end_matches('.').ends_with(".svc.cluster.local") || host.ends_with(".svc");
    let certain = existing.is_some() || is_cluster_name || (scheme.is_some() && !host.contains('.'));
    if !certain || host.eq_ignore_ascii_case("localhost") {
        return None;
    }
    let http = scheme.is_none_or(|scheme| HTTP_SCHEMES.contains(&scheme));
    let existing = existing.unwrap_or_default();
    let only = || Some(existing.as_slice()).filter(|ports| ports.len() == 1).map(|ports| ports[0]);
    let target = match (scheme, port) {
        (_, Some(port)) => Target::Authority { port, http },
        (Some("http" | "ws"), None) => Target::Authority { port: 80, http },
        (Some(_), None) => Target::Authority { port: only()?, http },
        (None, None) if is_host_variable(variable) || is_cluster_name => {
            Target::Host { ports: existing.clone() }
        }
        (None, None) => return None,
    };
    Some(Reference {
        range: at..at + authority.len(),
        host: host.to_owned(),
        authority: authority.to_owned(),
        target,
    })
}

fn is_host_variable(variable: &str) -> bool {
    let upper = variable.to_ascii_uppercase();
    let last = upper.rsplit(['_', '.', '-']).next().unwrap_or_default();
    HOST_VARIABLES.contains(&last)
}

fn is_host_name(host: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    host.starts_with(|c: char| c.is_ascii_alphabetic()) && host.len() <= 253 && host.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::{Reference, Target, references};

    /// Services: `cart` (8080, 9090), `stock` (5432), `www.example`.
    fn found(variable: &str, value: &str) -> Vec<Reference> {
        references(variable, value, &|host| match host {
            "cart" | "cart.shop" | "cart.shop.svc.cluster.local" => Some(vec![8080, 9090]),
            "stock" => Some(vec![5432]),
            _ => None,
        })
    }

    fn authorities(variable: &str, value: &str) -> Vec<(String, Target)> {
        found(variable, value)
            .into_iter()
            .inspect(|reference| assert_eq!(value[reference.range.clone()], reference.authority))
            .map(|reference| (reference.authority, reference.target))
            .collect()
    }

    fn http(authority: &str, port: u16) -> (String, Target) {
        (authority.to_owned(), Target::Authority { port, http: true })
    }

    #[test]
    fn urls_and_addresses_of_services_are_found() {
        assert_eq!(authorities("CART_URL", "http://cart:8080"), [http("cart:8080", 8080)]);
        assert_eq!(authorities("X", "http://cart/api?x=1"), [http("cart", 80)]);
        assert_eq!(authorities("X", "cart.shop:9090"), [http("cart.shop:9090", 9090)]);
        let full = "http://cart.shop.svc.cluster.local:8080/v1";
        assert_eq!(authorities("X", full), [http("cart.shop.svc.cluster.local:8080", 8080)]);
    }

    #[test]
    fn each_item_of_a_list_or_of_json_is_found() {
        let list = "http://cart:8080, stock:5432";
        assert_eq!(authorities("X", list), [http("cart:8080", 8080), http("stock:5432", 5432)]);
        let json = r#"{"cart":"http://cart:8080/"}"#;
        assert_eq!(authorities("X", json), [http("cart:8080", 8080)]);
    }

    #[test]
    fn a_url_with_a_host_without_dots_counts_before_its_service_exists() {
        assert_eq!(authorities("X", "http://later:3000"), [http("later:3000", 3000)]);
        assert_eq!(authorities("X", "later:3000"), []);
        assert_eq!(authorities("X", "later.shop.svc.cluster.local:3000").len(), 1);
    }

    #[test]
    fn other_protocols_are_not_read_as_http() {
        let opaque = ("stock:5432".to_owned(), Target::Authority { port: 5432, http: false });
        assert_eq!(authorities("X", "postgres://user:secret@stock:5432/db"), [opaque]);
        let opaque = ("stock".to_owned(), Target::Authority { port: 5432, http: false });
        assert_eq!(authorities("X", "redis://stock"), [opaque]);
    }

    #[test]
    fn a_host_alone_counts_in_a_variable_for_hosts_or_with_its_domain() {
        let host = |name: &str| (name.to_owned(), Target::Host { ports: vec![8080, 9090] });
        assert_eq!(authorities("CART_HOST", "cart"), [host("cart")]);
        let full = "cart.shop.svc.cluster.local";
        assert_eq!(authorities("X", full), [host(full)]);
        assert_eq!(authorities("APP", "cart"), []);
    }

    #[test]
    fn other_values_are_left_alone() {
        for value in [
            "http://localhost:8080",
            "http://127.0.0.1:8080",
            "https://cart:8443",
            "https://api.example.com",
            "http://api.example.com",
            "cart:0",
            "cart:latest",
            "registry.example/cart:8080/x",
            "a cart of 8080",
            "",
            "://cart",
            "ünïcode:80",
        ] {
            assert_eq!(authorities("X", value), [], "{value}");
        }
    }
}
