//! Names as a pod's resolver sees them: full service names, and short ones completed by the search list.

use crate::network::SERVICE_DOMAIN;

/// The (service, namespace) pairs that a host name may mean for a pod of `own_namespace`, in the order tried.
///
/// A pod's search list is `NS.svc.cluster.local svc.cluster.local cluster.local`; a trailing dot switches it off.
pub(crate) fn candidates<'a>(host: &'a str, own_namespace: &'a str) -> Vec<(&'a str, &'a str)> {
    let absolute = host.ends_with('.');
    let host = host.trim_end_matches('.');
    if let Some(rest) = host.strip_suffix(SERVICE_DOMAIN).and_then(|rest| rest.strip_suffix('.')) {
        return pair(rest).into_iter().collect();
    }
    if absolute {
        return Vec::new();
    }
    let labels = host.split('.').count();
    match labels {
        1 => vec![(host, own_namespace)],
        2 => pair(host).into_iter().collect(),
        3 => host.strip_suffix(".svc").and_then(pair).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn pair(text: &str) -> Option<(&str, &str)> {
    let (service, namespace) = text.split_once('.')?;
    (!namespace.contains('.') && !service.is_empty()).then_some((service, namespace))
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn a_full_name_means_one_service() {
        assert_eq!(candidates("web.shop.svc.cluster.local", "default"), [("web", "shop")]);
        assert_eq!(candidates("web.shop.svc.cluster.local.", "default"), [("web", "shop")]);
    }

    #[test]
    fn short_names_are_completed_by_the_search_list() {
        assert_eq!(candidates("web", "default"), [("web", "default")]);
        assert_eq!(candidates("web.shop", "default"), [("web", "shop")]);
        assert_eq!(candidates("web.shop.svc", "default"), [("web", "shop")]);
    }

    #[test]
    fn a_trailing_dot_switches_the_search_list_off() {
        assert!(candidates("web.", "default").is_empty());
    }

    #[test]
    fn foreign_names_mean_nothing() {
        assert!(candidates("www.example.org", "default").is_empty());
        assert!(candidates("a.b.c.svc.cluster.local", "default").is_empty());
    }
}
