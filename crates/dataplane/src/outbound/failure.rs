//! An error of a request with the place where it occurred, as `l5d-proxy-error` names it.

use std::fmt::Write as _;

use crate::error::ProxyError;
use crate::policy::ServiceRef;

/// Why a request has no response.
pub(super) struct Failure {
    pub(super) error: ProxyError,
    /// Precedes the error's text, such as `logical service 10.96.0.1:80: `; often empty.
    pub(super) place: String,
}

impl From<ProxyError> for Failure {
    fn from(error: ProxyError) -> Self {
        Self { error, place: String::new() }
    }
}

impl Failure {
    /// Adds the names of the stages that the error passed: the logical service, the route and the backend. Errors of the
    /// queue and of an attempt come from the backend, load shedding from the route, a missing route from the service.
    pub(super) fn at(error: ProxyError, logical: &str, route: Option<&str>, backend: Option<&str>) -> Self {
        let (with_route, with_backend) = match &error {
            ProxyError::FailFast | ProxyError::StreamTimeout(..) => (true, true),
            ProxyError::LoadShed => (true, false),
            ProxyError::NoRoute | ProxyError::RouteTimeout(_) => (false, false),
            _ => return error.into(),
        };
        let mut place = format!("logical service {logical}: ");
        let route = route.filter(|_| with_route);
        if let Some(route) = route {
            let _ = write!(place, "route {route}: ");
        }
        if let Some(backend) = backend.filter(|_| with_backend) {
            if route.is_some() {
                let _ = write!(place, "backend {backend}: ");
            }
            let _ = write!(place, "{backend}: ");
        }
        Self { error, place }
    }
}

/// Returns the name of a Service in error texts.
pub(super) fn service_name(service: &ServiceRef) -> String {
    format!("Service.{}.{}:{}", service.namespace, service.name, service.port)
}

/// Returns the name of a Service in error texts by its full DNS name and port.
pub(super) fn authority_name(authority: &str) -> String {
    let named = authority.split_once(':').and_then(|(host, port)| {
        let mut labels = host.split('.');
        Some(format!("Service.{1}.{0}:{port}", labels.next()?, labels.next()?))
    });
    named.unwrap_or_else(|| authority.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_stages_that_it_passed() {
        let policy =
            |error| Failure::at(error, "10.96.0.1:80", Some("default.http"), Some("Service.a.b:80")).place;
        assert_eq!(
            policy(ProxyError::FailFast),
            "logical service 10.96.0.1:80: route default.http: backend Service.a.b:80: Service.a.b:80: "
        );
        assert_eq!(policy(ProxyError::LoadShed), "logical service 10.96.0.1:80: route default.http: ");
        assert_eq!(policy(ProxyError::NoRoute), "logical service 10.96.0.1:80: ");
        assert_eq!(policy(ProxyError::NoBackend("absent".into())), "");
        let profile = Failure::at(ProxyError::FailFast, "b.a.svc:80", None, Some("Service.a.b:80")).place;
        assert_eq!(profile, "logical service b.a.svc:80: Service.a.b:80: ");
    }

    #[test]
    fn a_full_dns_name_is_shortened_to_the_service() {
        assert_eq!(authority_name("web.default.svc.cluster.local:9090"), "Service.default.web:9090");
        assert_eq!(authority_name("other"), "other");
    }
}
