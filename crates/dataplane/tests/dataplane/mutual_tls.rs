//! Mesh identities: both sides authenticate, and peers with another identity or authority are rejected.

use bytes::Bytes;
use http::Request;
use meshy_dataplane::{Endpoint, Identity, Proxy};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use crate::counters::failing;
use crate::support::{Client, Lab, Memory, Server, WEB, endpoint, scrape, serve_http, serve_raw, sum};

const POD: &str = "10.244.1.1:9090";
const WEB_ID: &str = "web.default.serviceaccount.identity.linkerd.cluster.local";
const CLIENT_ID: &str = "client.default.serviceaccount.identity.linkerd.cluster.local";

/// A cluster's certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// Returns an identity that can be rotated.
    fn issue(&self, name: &str) -> watch::Sender<Identity> {
        watch::Sender::new(self.identity(name))
    }

    pub(crate) fn identity(&self, name: &str) -> Identity {
        self.sign(name, &CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Identity::new(name, vec![leaf], key, [self.root.clone()]).unwrap()
    }
}

/// A meshed `web` and a meshed client.
struct Pair {
    lab: Lab,
    client: Client,
    client_identity: watch::Sender<Identity>,
    server: Server,
    server_proxy: Proxy,
    server_identity: watch::Sender<Identity>,
}

impl Pair {
    /// Issues each side's identity by its authority.
    fn new(server: &Authority, client: &Authority) -> Self {
        let (lab, app) = (Lab::default(), Memory::default());
        let (server_identity, client_identity) = (server.issue(WEB_ID), client.issue(CLIENT_ID));
        let server = serve_http(&app, POD.parse().unwrap(), failing(&[false]));
        let server_proxy = meshed(&lab, &app, &server_identity);
        lab.mesh(&server_proxy, POD.parse().unwrap());
        lab.service("web", WEB, &[Endpoint { identity: Some(WEB_ID.into()), ..endpoint(POD) }]);
        let client = Client::new(meshed(&lab, &Memory::default(), &client_identity));
        Self { lab, client, client_identity, server, server_proxy, server_identity }
    }
}

fn meshed(lab: &Lab, app: &Memory, identity: &watch::Sender<Identity>) -> Proxy {
    lab.proxy(app, |config| config.identity = Some(identity.subscribe()))
}

#[tokio::test]
async fn both_sides_authenticate_and_the_metrics_show_it() {
    let authority = Authority::new();
    let Pair { client, server, server_proxy, .. } = Pair::new(&authority, &authority);
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(server.last().headers()["l5d-client-id"], CLIENT_ID);
    assert_eq!(client.metric("request_total", &[("tls", "true"), ("server_id", WEB_ID)]), 3);
    let opened = client.metric("tcp_open_total", &[("peer", "dst"), ("tls", "true")]);
    assert_eq!(opened, 1, "one connection for all requests");
    let text = scrape(&server_proxy);
    assert_eq!(sum(&text, "request_total", &[("tls", "true"), ("client_id", CLIENT_ID)]), 3);
}

#[tokio::test]
async fn peers_of_another_authority_reject_each_other() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let Pair { client, server, .. } = Pair::new(&ours, &theirs);
    assert_eq!(client.get("/").await.status, 502);
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn an_endpoint_with_another_identity_is_rejected() {
    let authority = Authority::new();
    let Pair { lab, client, server, .. } = Pair::new(&authority, &authority);
    lab.service("web", WEB, &[Endpoint { identity: Some(CLIENT_ID.into()), ..endpoint(POD) }]);
    assert_eq!(client.get("/").await.status, 502);
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_caller_without_identity_is_served_and_cannot_claim_one() {
    let authority = Authority::new();
    let Pair { lab, server, server_proxy, .. } = Pair::new(&authority, &authority);
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    let request =
        Request::get("/").header("host", "web").header("l5d-client-id", WEB_ID).body(Bytes::new()).unwrap();
    assert_eq!(client.send(request).await.status, 200);
    assert!(!server.last().headers().contains_key("l5d-client-id"));
    let plain = [("tls", "no_identity"), ("no_tls_reason", "no_tls_from_remote")];
    assert_eq!(sum(&scrape(&server_proxy), "request_total", &plain), 1);
}

#[tokio::test]
async fn a_rotated_identity_is_used_from_the_next_connection_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let Pair { client, client_identity, server, server_identity, .. } = Pair::new(&new, &old);
    assert_eq!(client.get("/").await.status, 502);
    client_identity.send_replace(new.identity(CLIENT_ID));
    assert_eq!(client.get("/").await.status, 200);
    server_identity.send_replace(old.identity(WEB_ID));
    // The open connection stays in use; only a new one would be rejected.
    assert_eq!((client.get("/").await.status, server.count()), (200, 2));
}

#[tokio::test]
async fn the_metrics_have_the_expiration_of_the_current_certificate() {
    let authority = Authority::new();
    let expiring = |year| {
        let mut params = CertificateParams::new(vec![CLIENT_ID.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        authority.sign(CLIENT_ID, &params)
    };
    let identity = watch::Sender::new(expiring(2030));
    let proxy = meshed(&Lab::default(), &Memory::default(), &identity);
    let expiration = || {
        let name = "control_identity_cert_expiration_timestamp_seconds ";
        scrape(&proxy).lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    assert_eq!(expiration().as_deref(), Some("1893456000.0"));
    identity.send_replace(expiring(2031));
    assert_eq!(expiration().as_deref(), Some("1924992000.0"));
    assert!(!scrape(&Lab::default().client().proxy).contains("control_identity_cert"));
}

#[tokio::test]
async fn tls_for_the_application_is_forwarded_unchanged() {
    let (lab, app) = (Lab::default(), Memory::default());
    serve_raw(&app, POD.parse().unwrap(), |mut io| async move {
        let mut first = [0; 5];
        io.read_exact(&mut first).await.unwrap();
        io.write_all(&first).await.unwrap();
    });
    let server_proxy = meshed(&lab, &app, &Authority::new().issue(WEB_ID));
    lab.mesh(&server_proxy, POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    // The client hello of a handshake with another server name.
    let mut config =
        rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    config.enable_sni = true;
    let mut hello = Vec::new();
    let mut session =
        rustls::ClientConnection::new(config.into(), "other.example".try_into().unwrap()).unwrap();
    session.write_tls(&mut hello).unwrap();
    let mut io = client.dial(WEB);
    io.write_all(&hello).await.unwrap();
    let mut echoed = [0; 5];
    io.read_exact(&mut echoed).await.unwrap();
    assert_eq!(echoed, hello[..5]);
}

#[tokio::test]
async fn an_error_of_the_servers_proxy_keeps_the_callers_connection_and_its_headers_are_removed() {
    let (authority, lab) = (Authority::new(), Lab::default());
    // The application of this proxy does not listen.
    let server_proxy = meshed(&lab, &Memory::default(), &authority.issue(WEB_ID));
    lab.mesh(&server_proxy, POD.parse().unwrap());
    lab.service("web", WEB, &[Endpoint { identity: Some(WEB_ID.into()), ..endpoint(POD) }]);
    let client = Client::new(meshed(&lab, &Memory::default(), &authority.issue(CLIENT_ID)));
    let reply = client.get("/").await;
    assert_eq!((reply.status, reply.headers.get("connection")), (502, None));
    assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("l5d-")), "{:?}", reply.headers);
}

#[tokio::test]
async fn a_pod_that_calls_itself_through_its_service_uses_no_tls() {
    let (authority, lab) = (Authority::new(), Lab::default());
    // Its proxy connects to the application directly.
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing(&[false]));
    lab.service("web", WEB, &[Endpoint { identity: Some(WEB_ID.into()), ..endpoint(POD) }]);
    let proxy = lab.proxy(&Memory::default(), |config| {
        config.identity = Some(authority.identity(WEB_ID).into_watch());
        config.address = Some("10.244.1.1".parse().unwrap());
    });
    let pod = Client::new(proxy);
    for _ in 0..30 {
        assert_eq!(pod.get("/").await.status, 200);
    }
    assert_eq!(server.count(), 30);
    let labels = [("tls", "no_identity"), ("no_tls_reason", "loopback"), ("target_addr", POD)];
    assert_eq!(pod.metric("request_total", &labels), 30);
}
