//! DNS names of Services: full names, and short names completed by the search list of a pod.

/// The suffix of the full name of each Service.
const SERVICE_DOMAIN: &str = "svc.cluster.local";

/// Returns the (service, namespace) pairs that a host name can refer to in a pod of `pod_namespace`, in lookup order.
///
/// The search list of a pod is `NAMESPACE.svc.cluster.local svc.cluster.local cluster.local`; a trailing dot disables
/// it.
pub(crate) fn service_candidates<'a>(host: &'a str, pod_namespace: &'a str) -> Vec<(&'a str, &'a str)> {
    let absolute = host.ends_with('.');
    let host = host.trim_end_matches('.');
    if let Some(rest) = host.strip_suffix(SERVICE_DOMAIN).and_then(|rest| rest.strip_suffix('.')) {
        return service_and_namespace(rest).into_iter().collect();
    }
    if absolute {
        return Vec::new();
    }
    match host.split('.').count() {
        1 => vec![(host, pod_namespace)],
        2 => service_and_namespace(host).into_iter().collect(),
        3 => host.strip_suffix(".svc").and_then(service_and_namespace).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn service_and_namespace(text: &str) -> Option<(&str, &str)> {
    let (service, namespace) = text.split_once('.')?;
    (!namespace.contains('.') && !service.is_empty()).then_some((service, namespace))
}

#[cfg(test)]
mod tests {
    use super::service_candidates;

    #[test]
    fn a_full_name_refers_to_one_service() {
        assert_eq!(service_candidates("web.shop.svc.cluster.local", "default"), [("web", "shop")]);
        assert_eq!(service_candidates("web.shop.svc.cluster.local.", "default"), [("web", "shop")]);
    }

    #[test]
    fn the_search_list_completes_short_names() {
        assert_eq!(service_candidates("web", "default"), [("web", "default")]);
        assert_eq!(service_candidates("web.shop", "default"), [("web", "shop")]);
        assert_eq!(service_candidates("web.shop.svc", "default"), [("web", "shop")]);
    }

    #[test]
    fn a_trailing_dot_disables_the_search_list() {
        assert!(service_candidates("web.", "default").is_empty());
    }

    #[test]
    fn names_outside_the_cluster_domain_have_no_candidates() {
        assert!(service_candidates("www.example.org", "default").is_empty());
        assert!(service_candidates("a.b.c.svc.cluster.local", "default").is_empty());
    }
}
