//! Constants of Linkerd: annotations, labels, API groups, container names and ports.

/// The namespace of the control plane.
pub const CONTROL_PLANE_NAMESPACE: &str = "linkerd";
/// The DNS domain of the cluster.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// Annotation of a pod template or namespace: whether to inject a proxy. Values: [`ENABLED`], [`INGRESS`],
/// [`DISABLED`].
pub const INJECT: &str = "linkerd.io/inject";
/// Value of [`INJECT`]: inject a proxy that routes by the original destination.
pub const ENABLED: &str = "enabled";
/// Value of [`INJECT`]: inject a proxy that routes by the header `l5d-dst-override`.
pub const INGRESS: &str = "ingress";
/// Value of [`INJECT`]: inject no proxy. On a pod template it overrides the annotation of the namespace.
pub const DISABLED: &str = "disabled";

/// Label of an injected pod: the namespace of its control plane.
pub const CONTROL_PLANE_NS_LABEL: &str = "linkerd.io/control-plane-ns";
/// Label of the workloads of the control plane: the name of the component.
pub const COMPONENT_LABEL: &str = "linkerd.io/control-plane-component";
/// Label of an injected pod: the namespace of the pod.
pub const WORKLOAD_NS_LABEL: &str = "linkerd.io/workload-ns";
/// Prefix of the label with the owner of an injected pod, for example `linkerd.io/proxy-deployment`.
pub const PROXY_OWNER_PREFIX: &str = "linkerd.io/proxy-";
/// Annotation of an injected pod: the program that injected the proxy.
pub const CREATED_BY: &str = "linkerd.io/created-by";
/// Annotation of an injected pod: the version of the proxy.
pub const PROXY_VERSION: &str = "linkerd.io/proxy-version";
/// Annotation of an injected pod: the SHA-256 hash of the trust anchors of the proxy.
pub const TRUST_ROOT_SHA: &str = "linkerd.io/trust-root-sha256";

/// The name of the container of the proxy.
pub const PROXY_CONTAINER: &str = "linkerd-proxy";
/// The name of the init container that redirects the traffic of the pod to the proxy.
pub const INIT_CONTAINER: &str = "linkerd-init";
/// The port of the proxy for metrics, liveness and readiness.
pub const ADMIN_PORT: u16 = 4191;

/// The header of responses that a proxy makes itself: why.
pub const PROXY_ERROR: &str = "l5d-proxy-error";
/// The port of the proxy that receives the inbound traffic of the pod.
pub const INBOUND_PORT: u16 = 4143;
/// The port of the proxy that receives the outbound traffic of the pod.
pub const OUTBOUND_PORT: u16 = 4140;

/// The API version in which ServiceProfiles are stored.
pub const PROFILE_API_VERSION: &str = "linkerd.io/v1alpha2";
/// The kind of ServiceProfiles.
pub const PROFILE_KIND: &str = "ServiceProfile";
/// The API group of Gateway API routes.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// The API group of Linkerd's HTTPRoutes and policies.
pub const POLICY_GROUP: &str = "policy.linkerd.io";

/// The request header with the service and port that a proxy in ingress mode routes to. Other modes ignore it.
pub const DST_OVERRIDE: &str = "l5d-dst-override";

/// Annotation: the HTTP statuses to retry. A list of codes, ranges, `5xx` and `gateway-error`.
pub const RETRY_HTTP: &str = "retry.linkerd.io/http";
/// Annotation: the gRPC statuses to retry.
pub const RETRY_GRPC: &str = "retry.linkerd.io/grpc";
/// Annotation: the maximum number of retries of a request; 1 where absent.
pub const RETRY_LIMIT: &str = "retry.linkerd.io/limit";
/// Annotation: the timeout of one attempt, after which the request is retried.
pub const RETRY_TIMEOUT: &str = "retry.linkerd.io/timeout";
/// Annotation: the timeout of a request, all attempts together.
pub const TIMEOUT_REQUEST: &str = "timeout.linkerd.io/request";
/// Annotation: the timeout of the response of a backend.
pub const TIMEOUT_RESPONSE: &str = "timeout.linkerd.io/response";
/// Annotation: the maximum time without data on a stream.
pub const TIMEOUT_IDLE: &str = "timeout.linkerd.io/idle";
/// Annotation: enables the circuit breaker. Values: `consecutive` or `unified`.
pub const FAILURE_ACCRUAL: &str = "balancer.linkerd.io/failure-accrual";

/// Returns the full DNS name of a service, which is also the name of its ServiceProfile.
pub fn service_fqdn(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.{CLUSTER_DOMAIN}")
}

/// Returns the name and namespace of the service with this full DNS name; `None` if it is not the name of a service.
pub fn parse_service_fqdn(fqdn: &str) -> Option<(&str, &str)> {
    let rest = fqdn.strip_suffix(CLUSTER_DOMAIN)?.strip_suffix(".svc.")?;
    let (name, namespace) = rest.split_once('.')?;
    (!name.is_empty() && !namespace.is_empty() && !namespace.contains('.')).then_some((name, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_dns_name_is_built_and_parsed() {
        let name = service_fqdn("bounced-service", "default");
        assert_eq!(name, "bounced-service.default.svc.cluster.local");
        assert_eq!(parse_service_fqdn(&name), Some(("bounced-service", "default")));
    }

    #[test]
    fn other_dns_names_are_rejected() {
        for name in
            ["bounced-service", "a.b.c.svc.cluster.local", "a.svc.cluster.local", ".b.svc.cluster.local"]
        {
            assert_eq!(parse_service_fqdn(name), None, "{name}");
        }
    }
}
