//! Names that Linkerd gives to things, spelled once.

/// Where the control plane lives.
pub const CONTROL_PLANE_NAMESPACE: &str = "linkerd";
/// The DNS suffix of services.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// Asks for a proxy; on a pod template or a namespace. Values: [`ENABLED`], [`INGRESS`], [`DISABLED`].
pub const INJECT: &str = "linkerd.io/inject";
/// Value of [`INJECT`]: a proxy that routes by the original destination.
pub const ENABLED: &str = "enabled";
/// Value of [`INJECT`]: a proxy that routes by the header `l5d-dst-override`.
pub const INGRESS: &str = "ingress";
/// Value of [`INJECT`]: no proxy, whatever the namespace says.
pub const DISABLED: &str = "disabled";

/// Label of an injected pod: the namespace of its control plane.
pub const CONTROL_PLANE_NS_LABEL: &str = "linkerd.io/control-plane-ns";
/// Label of the control plane's own workloads: which part it is.
pub const COMPONENT_LABEL: &str = "linkerd.io/control-plane-component";
/// Label of an injected pod: its own namespace.
pub const WORKLOAD_NS_LABEL: &str = "linkerd.io/workload-ns";
/// Prefix of the label that names an injected pod's owner: `linkerd.io/proxy-deployment` and alike.
pub const PROXY_OWNER_PREFIX: &str = "linkerd.io/proxy-";
/// Annotation of an injected pod: who injected it.
pub const CREATED_BY: &str = "linkerd.io/created-by";
/// Annotation of an injected pod: which version of the proxy.
pub const PROXY_VERSION: &str = "linkerd.io/proxy-version";
/// Annotation of an injected pod: the hash of the trust anchors that it was given.
pub const TRUST_ROOT_SHA: &str = "linkerd.io/trust-root-sha256";

/// The proxy's container.
pub const PROXY_CONTAINER: &str = "linkerd-proxy";
/// The init container that redirects the pod's traffic.
pub const INIT_CONTAINER: &str = "linkerd-init";
/// The proxy's metrics, liveness and readiness.
pub const ADMIN_PORT: u16 = 4191;
/// Where the proxy takes the pod's incoming traffic.
pub const INBOUND_PORT: u16 = 4143;
/// Where the proxy takes the pod's outgoing traffic.
pub const OUTBOUND_PORT: u16 = 4140;
/// Where the control plane reaches the proxy (tap).
pub const CONTROL_PORT: u16 = 4190;

/// API group of ServiceProfiles.
pub const PROFILE_GROUP: &str = "linkerd.io";
/// The stored version of ServiceProfiles.
pub const PROFILE_API_VERSION: &str = "linkerd.io/v1alpha2";
/// Kind of ServiceProfiles.
pub const PROFILE_KIND: &str = "ServiceProfile";
/// Group of Gateway API's routes.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// Group of Linkerd's own HTTPRoute and policies.
pub const POLICY_GROUP: &str = "policy.linkerd.io";

/// Header by which an ingress tells its proxy the service; only ingress mode reads it.
pub const DST_OVERRIDE: &str = "l5d-dst-override";

/// Which HTTP answers are retried: codes, ranges, `5xx`, `gateway-error`.
pub const RETRY_HTTP: &str = "retry.linkerd.io/http";
/// Which gRPC answers are retried.
pub const RETRY_GRPC: &str = "retry.linkerd.io/grpc";
/// How often at most a request is retried; 1 where absent.
pub const RETRY_LIMIT: &str = "retry.linkerd.io/limit";
/// How long one try may take before the next one.
pub const RETRY_TIMEOUT: &str = "retry.linkerd.io/timeout";
/// How long a request may take, all tries together.
pub const TIMEOUT_REQUEST: &str = "timeout.linkerd.io/request";
/// How long one backend's response may take.
pub const TIMEOUT_RESPONSE: &str = "timeout.linkerd.io/response";
/// How long a stream may be silent.
pub const TIMEOUT_IDLE: &str = "timeout.linkerd.io/idle";
/// Switches a circuit breaker on: `consecutive` or `unified`.
pub const FAILURE_ACCRUAL: &str = "balancer.linkerd.io/failure-accrual";

/// The full DNS name of a service, which is also the name of its ServiceProfile.
pub fn service_fqdn(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.{CLUSTER_DOMAIN}")
}

/// The service and namespace that a full DNS name stands for; nothing if it is not one.
pub fn parse_service_fqdn(fqdn: &str) -> Option<(&str, &str)> {
    let rest = fqdn.strip_suffix(CLUSTER_DOMAIN)?.strip_suffix(".svc.")?;
    let (name, namespace) = rest.split_once('.')?;
    (!name.is_empty() && !namespace.is_empty() && !namespace.contains('.')).then_some((name, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_goes_both_ways() {
        let name = service_fqdn("bounced-service", "default");
        assert_eq!(name, "bounced-service.default.svc.cluster.local");
        assert_eq!(parse_service_fqdn(&name), Some(("bounced-service", "default")));
    }

    #[test]
    fn other_names_are_not_a_services() {
        for name in
            ["bounced-service", "a.b.c.svc.cluster.local", "a.svc.cluster.local", ".b.svc.cluster.local"]
        {
            assert_eq!(parse_service_fqdn(name), None, "{name}");
        }
    }
}
