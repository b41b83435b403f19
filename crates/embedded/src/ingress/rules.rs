//! The rules of the Ingresses: which Service receives a request.

use std::cmp::Reverse;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend};

use super::names::CLASS;
use crate::object::ObjectExt;

/// The Service of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) namespace: String,
    pub(super) service: String,
    pub(super) port: BackendPort,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BackendPort {
    Number(u16),
    Name(String),
}

#[derive(Clone, Debug)]
struct Rule {
    /// Empty for each host; `*.x` for one label before `.x`.
    host: String,
    path: String,
    exact: bool,
    backend: Backend,
}

/// The rules of all served Ingresses, in the order of precedence.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    /// Reads the rules of the served Ingresses.
    pub(super) fn of(ingresses: &[Arc<Ingress>]) -> Self {
        let mut rules = Vec::new();
        let mut defaults = Vec::new();
        for ingress in ingresses.iter().filter(|ingress| is_served(ingress)) {
            let Some(spec) = &ingress.spec else { continue };
            for rule in spec.rules.iter().flatten() {
                let host = rule.host.as_deref().unwrap_or_default();
                let paths = rule.http.iter().flat_map(|http| &http.paths);
                rules.extend(paths.filter_map(|path| self::rule(ingress, host, path)));
            }
            if let Some(backend) = spec.default_backend.as_ref().and_then(|found| backend(ingress, found)) {
                defaults.push(Rule { host: String::new(), path: "/".to_owned(), exact: false, backend });
            }
        }
        // A named host, then a wildcard, then no host; the longest path; exact before prefix. The sort is stable: among
        // equal rules the first Ingress by name takes precedence.
        rules.sort_by_key(|rule: &Rule| {
            let host = if rule.host.is_empty() { 2 } else { u8::from(rule.host.starts_with('*')) };
            (host, Reverse(rule.path.len()), !rule.exact)
        });
        rules.extend(defaults);
        Self(rules)
    }

    /// Returns the backend of a request, or `None` if no rule matches.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<&Backend> {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
        let host = if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host };
        let host = host.to_ascii_lowercase();
        self.0.iter().find(|rule| rule.matches(&host, path)).map(|rule| &rule.backend)
    }
}

impl Rule {
    fn matches(&self, host: &str, path: &str) -> bool {
        let host_matches = match self.host.strip_prefix('*') {
            _ if self.host.is_empty() => true,
            Some(suffix) => {
                host.strip_suffix(suffix).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            None => self.host == host,
        };
        host_matches && if self.exact { path == self.path } else { has_path_prefix(path, &self.path) }
    }
}

/// Whether a path starts with whole elements of a prefix: `/a` is a prefix of `/a` and `/a/b`, not of `/ab`.
fn has_path_prefix(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether an Ingress is of the class that is served here.
pub(super) fn is_served(ingress: &Ingress) -> bool {
    let class = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref());
    match class.unwrap_or_default() {
        "" => ingress.annotation("kubernetes.io/ingress.class") == Some(CLASS),
        class => class == CLASS,
    }
}

fn rule(ingress: &Ingress, host: &str, path: &HTTPIngressPath) -> Option<Rule> {
    Some(Rule {
        host: host.to_ascii_lowercase(),
        path: path.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned()),
        exact: path.path_type == "Exact",
        backend: backend(ingress, &path.backend)?,
    })
}

fn backend(ingress: &Ingress, found: &IngressBackend) -> Option<Backend> {
    let service = found.service.as_ref().filter(|service| !service.name.is_empty())?;
    let port = service.port.clone().unwrap_or_default();
    Some(Backend {
        namespace: ingress.namespace().to_owned(),
        service: service.name.clone(),
        port: match port.number {
            Some(number) => BackendPort::Number(u16::try_from(number).ok()?),
            None => BackendPort::Name(port.name.unwrap_or_default()),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::networking::v1::Ingress;
    use serde_json::json;

    use super::Rules;
    use crate::api::typed;

    fn ingress(class: &str, host: &str, path: &str, path_type: &str, service: &str) -> Arc<Ingress> {
        let ingress = json!({
            "metadata": { "name": service, "namespace": "default" },
            "spec": { "ingressClassName": class, "rules": [{ "host": host, "http": { "paths": [{
                "path": path, "pathType": path_type,
                "backend": { "service": { "name": service, "port": { "number": 80 } } },
            }] } }] },
        });
        Arc::new(typed(&ingress).expect("an Ingress"))
    }

    fn service<'a>(rules: &'a Rules, host: &str, path: &str) -> Option<&'a str> {
        rules.find(host, path).map(|backend| backend.service.as_str())
    }

    #[test]
    fn the_most_specific_rule_takes_precedence() {
        let rules = Rules::of(&[
            ingress("nginx", "", "/", "Prefix", "any"),
            ingress("nginx", "*.shop", "/", "Prefix", "wildcard"),
            ingress("nginx", "web.shop", "/", "Prefix", "web"),
            ingress("nginx", "web.shop", "/api", "Prefix", "api"),
            ingress("nginx", "web.shop", "/api", "Exact", "exact"),
        ]);
        assert_eq!(service(&rules, "web.shop", "/api"), Some("exact"));
        assert_eq!(service(&rules, "Web.Shop:8080", "/api/x"), Some("api"));
        assert_eq!(service(&rules, "web.shop", "/apis"), Some("web"));
        assert_eq!(service(&rules, "cart.shop", "/"), Some("wildcard"));
        assert_eq!(service(&rules, "a.cart.shop", "/"), Some("any"));
    }

    #[test]
    fn an_unknown_host_and_another_class_match_no_rule() {
        let rules = Rules::of(&[
            ingress("traefik", "web", "/", "Prefix", "web"),
            ingress("nginx", "served", "/", "Prefix", "served"),
        ]);
        assert_eq!(service(&rules, "web", "/"), None);
        assert_eq!(service(&rules, "served", "/x"), Some("served"));
    }
}
