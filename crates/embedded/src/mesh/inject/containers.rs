//! The containers and volumes that the injector adds to a pod, as Linkerd's injector writes them.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction, Probe,
    ProjectedVolumeSource, SeccompProfile, SecurityContext, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meshy_linkerd::names;

use crate::program::image::built_in_image;

const LOCK_VOLUME: &str = "linkerd-proxy-init-xtables-lock";
const IDENTITY_VOLUME: &str = "linkerd-identity-end-entity";
const TOKEN_VOLUME: &str = "linkerd-identity-token";
/// The user that the proxy runs as.
const PROXY_USER: i64 = 2102;
/// The lifetime of the identity token, in seconds.
const TOKEN_LIFETIME: i64 = 86_400;

/// Returns the init container that redirects the traffic of the pod.
pub(super) fn proxy_init() -> Container {
    let (inbound, outbound) = (names::INBOUND_PORT.to_string(), names::OUTBOUND_PORT.to_string());
    let user = PROXY_USER.to_string();
    let args = [
        "--firewall-bin-path",
        "none",
        "--incoming-proxy-port",
        &inbound,
        "--outgoing-proxy-port",
        &outbound,
        "--proxy-uid",
        &user,
    ];
    Container {
        name: names::INIT_CONTAINER.to_owned(),
        image: Some(built_in_image("proxy-init")),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(args.map(str::to_owned).to_vec()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                add: Some(vec!["NET_ADMIN".to_owned(), "NET_RAW".to_owned()]),
                drop: None,
            }),
            privileged: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            run_as_user: Some(65_534),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![mount(LOCK_VOLUME, "/run")]),
        ..Container::default()
    }
}

/// Returns the proxy, as a native sidecar.
pub(super) fn proxy() -> Container {
    Container {
        name: names::PROXY_CONTAINER.to_owned(),
        image: Some(built_in_image("proxy")),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        // A native sidecar starts before the application and stops after it.
        restart_policy: Some("Always".to_owned()),
        ports: Some(vec![
            port("linkerd-proxy", names::INBOUND_PORT),
            port("linkerd-admin", names::ADMIN_PORT),
        ]),
        startup_probe: Some(Probe {
            period_seconds: Some(1),
            failure_threshold: Some(120),
            ..probe("/ready")
        }),
        // Linkerd's delay of 2 s is not necessary: the startup probe has succeeded, and the proxy starts immediately.
        readiness_probe: Some(Probe { timeout_seconds: Some(1), ..probe("/ready") }),
        liveness_probe: Some(Probe {
            initial_delay_seconds: Some(10),
            timeout_seconds: Some(1),
            ..probe("/live")
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            run_as_user: Some(PROXY_USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![
            mount(IDENTITY_VOLUME, "/var/run/linkerd/identity/end-entity"),
            mount(TOKEN_VOLUME, "/var/run/secrets/tokens"),
        ]),
        ..Container::default()
    }
}

/// Returns the volumes of the two containers.
pub(super) fn volumes() -> [Volume; 3] {
    let token = ServiceAccountTokenProjection {
        audience: Some("identity.l5d.io".to_owned()),
        expiration_seconds: Some(TOKEN_LIFETIME),
        path: "linkerd-identity-token".to_owned(),
    };
    let projected = ProjectedVolumeSource {
        sources: Some(vec![VolumeProjection {
            service_account_token: Some(token),
            ..VolumeProjection::default()
        }]),
        default_mode: None,
    };
    let empty_dir =
        |medium: Option<&str>| EmptyDirVolumeSource { medium: medium.map(str::to_owned), size_limit: None };
    let volume = |name: &str| Volume { name: name.to_owned(), ..Volume::default() };
    [
        Volume { empty_dir: Some(empty_dir(None)), ..volume(LOCK_VOLUME) },
        Volume { empty_dir: Some(empty_dir(Some("Memory"))), ..volume(IDENTITY_VOLUME) },
        Volume { projected: Some(projected), ..volume(TOKEN_VOLUME) },
    ]
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        ..ContainerPort::default()
    }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(names::ADMIN_PORT)),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    }
}
