//! Which Service a request belongs to.

use serde_json::Value;

use super::CLASS;
use crate::object::{annotation, int, list, namespace, text};

/// The Service a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) namespace: String,
    pub(super) service: String,
    pub(super) port: Port,
}

/// A Service's port as an Ingress names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Number(u16),
    Name(String),
}

#[derive(Clone, Debug)]
struct Rule {
    /// Empty: every host. `*.x`: one label before `.x`.
    host: String,
    path: String,
    exact: bool,
    backend: Backend,
}

/// All rules in force, closest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    /// Reads the Ingresses of this class.
    pub(super) fn of<'a>(ingresses: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut rules = Vec::new();
        let mut defaults = Vec::new();
        for ingress in ingresses.into_iter().filter(|ingress| is_ours(ingress)) {
            for rule in list(ingress, "/spec/rules") {
                for path in list(rule, "/http/paths") {
                    rules.extend(self::rule(ingress, text(rule, "/host"), path));
                }
            }
            if let Some(backend) = ingress.pointer("/spec/defaultBackend").and_then(|b| backend(ingress, b)) {
                defaults.push(Rule { host: String::new(), path: "/".to_owned(), exact: false, backend });
            }
        }
        // A named host before a wildcard before none; then the longest path, an exact one before a prefix. The sort is
        // stable: among equals the Ingress that comes first by name wins.
        rules.sort_by_key(|rule: &Rule| {
            let host = if rule.host.is_empty() { 2 } else { u8::from(rule.host.starts_with('*')) };
            (host, std::cmp::Reverse(rule.path.len()), !rule.exact)
        });
        rules.extend(defaults);
        Self(rules)
    }

    /// The backend of a request.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<&Backend> {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
        let host = if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host };
        let host = host.to_ascii_lowercase();
        self.0.iter().find(|rule| rule.takes(&host, path)).map(|rule| &rule.backend)
    }
}

impl Rule {
    fn takes(&self, host: &str, path: &str) -> bool {
        let host_fits = match self.host.strip_prefix('*') {
            _ if self.host.is_empty() => true,
            Some(rest) => {
                host.strip_suffix(rest).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            None => self.host == host,
        };
        host_fits && if self.exact { path == self.path } else { has_prefix(path, &self.path) }
    }
}

/// By whole elements: `/a` takes `/a` and `/a/b`, not `/ab`.
fn has_prefix(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn is_ours(ingress: &Value) -> bool {
    let by_field = text(ingress, "/spec/ingressClassName");
    let by_annotation = annotation(ingress, "kubernetes.io/ingress.class");
    by_field == CLASS || (by_field.is_empty() && by_annotation == Some(CLASS))
}

fn rule(ingress: &Value, host: &str, path: &Value) -> Option<Rule> {
    let written = text(path, "/path");
    Some(Rule {
        host: host.to_ascii_lowercase(),
        path: if written.is_empty() { "/".to_owned() } else { written.to_owned() },
        exact: text(path, "/pathType") == "Exact",
        backend: backend(ingress, path.get("backend")?)?,
    })
}

fn backend(ingress: &Value, found: &Value) -> Option<Backend> {
    let port = match int(found, "/service/port/number") {
        Some(number) => Port::Number(u16::try_from(number).ok()?),
        None => Port::Name(text(found, "/service/port/name").to_owned()),
    };
    let service = text(found, "/service/name");
    (!service.is_empty()).then(|| Backend {
        namespace: namespace(ingress).to_owned(),
        service: service.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Rules;

    fn ingress(host: &str, path: &str, kind: &str, service: &str) -> Value {
        json!({
            "metadata": { "name": service, "namespace": "default" },
            "spec": { "ingressClassName": "nginx", "rules": [{ "host": host, "http": { "paths": [{
                "path": path, "pathType": kind, "backend": { "service": { "name": service, "port": { "number": 80 } } },
            }] } }] },
        })
    }

    fn found<'a>(rules: &'a Rules, host: &str, path: &str) -> Option<&'a str> {
        rules.find(host, path).map(|backend| backend.service.as_str())
    }

    #[test]
    fn the_closest_rule_wins() {
        let all = [
            ingress("", "/", "Prefix", "any"),
            ingress("*.shop", "/", "Prefix", "wild"),
            ingress("web.shop", "/", "Prefix", "web"),
            ingress("web.shop", "/api", "Prefix", "api"),
            ingress("web.shop", "/api", "Exact", "exact"),
        ];
        let rules = Rules::of(&all);
        assert_eq!(found(&rules, "web.shop", "/api"), Some("exact"));
        assert_eq!(found(&rules, "Web.Shop:8080", "/api/x"), Some("api"));
        assert_eq!(found(&rules, "web.shop", "/apis"), Some("web"));
        assert_eq!(found(&rules, "cart.shop", "/"), Some("wild"));
        assert_eq!(found(&rules, "a.cart.shop", "/"), Some("any"));
    }

    #[test]
    fn another_class_and_an_unknown_host_are_nobodys() {
        let mut other = ingress("web", "/", "Prefix", "web");
        other["spec"]["ingressClassName"] = json!("traefik");
        let rules = Rules::of([&other, &ingress("mine", "/", "Prefix", "mine")]);
        assert_eq!(found(&rules, "web", "/"), None);
        assert_eq!(found(&rules, "mine", "/x"), Some("mine"));
    }
}
