//! URLs of Services.

use anyhow::Context as _;
use meshy_metrics::routes::Service;
use meshy_policy::check_service;

/// A Service of the cluster and one of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceUrl {
    /// The Service.
    pub(crate) service: Service,
    /// The port; 80 where the URL has none.
    pub(crate) port: u16,
    /// The host ends with `.svc` or `.svc.cluster.local`; without that it may be a host of another name.
    pub(crate) sure: bool,
}

impl ServiceUrl {
    /// Returns the Service and port that a URL means when its host is a name of the cluster's own DNS: `NAME.NAMESPACE`, with or
    /// without `.svc` or `.svc.cluster.local`. A host that ends with a dot is one of another DNS.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let (host, port) = host_and_port(url)?;
        let host = host.strip_suffix(".cluster.local").unwrap_or(&host);
        let (host, sure) = host.strip_suffix(".svc").map_or((host, false), |host| (host, true));
        let (name, namespace) = host.split_once('.')?;
        let service = Service { namespace: namespace.to_owned(), name: name.to_owned() };
        (is_label(name) && is_label(namespace)).then_some(Self { service, port, sure })
    }

    /// Returns the Service and port that a URL means in a pod of a namespace, where `NAME` alone is a Service of the same namespace.
    pub(crate) fn in_pod(url: &str, namespace: &str) -> Option<Self> {
        let alone = || {
            let (name, port) = host_and_port(url)?;
            let service = Service { namespace: namespace.to_owned(), name };
            let is_service = is_label(&service.name) && service.name != "localhost";
            is_service.then_some(Self { service, port, sure: true })
        };
        Self::of(url).or_else(alone)
    }

    /// Checks that the Service and the port are there. Returns what may be unexpected.
    ///
    /// # Errors
    /// There is no such Service or port; the API fails.
    pub(crate) async fn check(&self, client: &kube::Client, url: &str) -> anyhow::Result<Option<String>> {
        let Service { namespace, name } = &self.service;
        let checked = check_service(client, (namespace, name), Some(self.port)).await;
        checked.with_context(|| format!("cannot send requests to {url}"))
    }
}

/// The host and port of a URL without TLS; 80 where it has no port.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let parsed: http::Uri = url.parse().ok()?;
    let authority = parsed.authority().filter(|_| matches!(parsed.scheme_str(), Some("http" | "grpc")))?;
    Some((authority.host().to_owned(), authority.port_u16().unwrap_or(80)))
}

fn is_label(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_cluster_is_a_service_and_a_port() {
        let found = |url| {
            ServiceUrl::of(url).map(|url| (url.service.name, url.service.namespace, url.port, url.sure))
        };
        let wanted = |port, sure| Some(("a".to_owned(), "b".to_owned(), port, sure));
        assert_eq!(found("http://a.b.svc.cluster.local:9090/x"), wanted(9090, true));
        assert_eq!(found("http://a.b.svc/"), wanted(80, true));
        assert_eq!(found("http://a.b:8080/"), wanted(8080, false));
        assert_eq!(found("grpc://a.b:8080/shop.Cart/Add"), wanted(8080, false));
        for other in [
            "http://127.0.0.1:80/",
            "https://a.b.svc/",
            "http://x.a.b.svc/",
            "http://a.b./",
            "a.b.svc",
            "http://localhost/",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_alone_is_a_service_of_the_pods_namespace() {
        let found =
            |url| ServiceUrl::in_pod(url, "shop").map(|url| (url.service.name, url.service.namespace));
        let wanted = |namespace: &str| Some(("a".to_owned(), namespace.to_owned()));
        assert_eq!(found("http://a:8080/"), wanted("shop"));
        assert_eq!(found("http://a.b:8080/"), wanted("b"));
        for other in ["http://a./", "http://localhost/", "http://127.0.0.1/", "http://x.a.b/"] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
