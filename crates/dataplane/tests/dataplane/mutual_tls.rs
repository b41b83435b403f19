//! Identities: both sides prove theirs, strangers are refused.

use bytes::Bytes;
use http::Request;
use meshy_dataplane::{Endpoint, Identity, Proxy};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::counting::failing;
use crate::support::{Client, Lab, Memory, Server, WEB, endpoint, serve_http, serve_raw, sum};

const POD: &str = "10.244.1.1:9090";
const WEB_ID: &str = "web.default.serviceaccount.identity.linkerd.cluster.local";
const CLIENT_ID: &str = "client.default.serviceaccount.identity.linkerd.cluster.local";

/// A cluster's authority.
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

    pub(crate) fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Identity::new(name, vec![leaf], key, [self.root.clone()]).unwrap()
    }
}

/// A meshed `web` and a client, each with an identity of its authority.
fn meshed(server: &Authority, client: &Authority) -> (Client, Proxy, Server, Lab) {
    let lab = Lab::default();
    let app = Memory::default();
    let count = serve_http(&app, POD.parse().unwrap(), failing(&[false]));
    let behind = lab.proxy(&app, |config| config.identity = Some(server.identity(WEB_ID)));
    lab.mesh(&behind, POD.parse().unwrap());
    lab.service("web", WEB, &[Endpoint { identity: Some(WEB_ID.into()), ..endpoint(POD) }]);
    let identity = client.identity(CLIENT_ID);
    let client = Client::new(lab.proxy(&Memory::default(), |config| config.identity = Some(identity)));
    (client, behind, count, lab)
}

#[tokio::test]
async fn both_sides_prove_their_identity_and_say_so_in_the_metrics() {
    let authority = Authority::new();
    let (client, behind, server, _) = meshed(&authority, &authority);
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(server.last().headers()["l5d-client-id"], CLIENT_ID);
    assert_eq!(client.metric("request_total", &[("tls", "true"), ("server_id", WEB_ID)]), 3);
    assert_eq!(
        client.metric("tcp_open_total", &[("peer", "dst"), ("tls", "true")]),
        1,
        "one connection for all"
    );
    let text = behind.metrics_text();
    assert_eq!(sum(&text, "request_total", &[("tls", "true"), ("client_id", CLIENT_ID)]), 3);
}

#[tokio::test]
async fn a_peer_of_another_authority_is_refused_either_way() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (client, _, server, _) = meshed(&ours, &theirs);
    assert_eq!(client.get("/").await.status, 502);
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn an_endpoint_that_proves_another_identity_is_refused() {
    let authority = Authority::new();
    let (_, _, server, lab) = meshed(&authority, &authority);
    let wrong = Endpoint { identity: Some(CLIENT_ID.into()), ..endpoint(POD) };
    lab.service("web", WEB, &[wrong]);
    let identity = authority.identity(CLIENT_ID);
    let client = Client::new(lab.proxy(&Memory::default(), |config| config.identity = Some(identity)));
    assert_eq!(client.get("/").await.status, 502);
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_plain_caller_is_served_and_cannot_claim_an_identity() {
    let authority = Authority::new();
    let (_, behind, server, lab) = meshed(&authority, &authority);
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    let request =
        Request::get("/").header("host", "web").header("l5d-client-id", WEB_ID).body(Bytes::new()).unwrap();
    assert_eq!(client.send(request).await.status, 200);
    assert!(!server.last().headers().contains_key("l5d-client-id"));
    let plain = [("tls", "no_identity"), ("no_tls_reason", "no_tls_from_remote")];
    assert_eq!(sum(&behind.metrics_text(), "request_total", &plain), 1);
}

#[tokio::test]
async fn a_new_certificate_is_used_from_the_next_connection_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let (client, behind, server, _) = meshed(&new, &old);
    assert_eq!(client.get("/").await.status, 502);
    client.proxy.set_identity(Some(new.identity(CLIENT_ID)));
    assert_eq!(client.get("/").await.status, 200);
    behind.set_identity(Some(old.identity(WEB_ID)));
    // The open connection goes on; only a new one would be refused.
    assert_eq!((client.get("/").await.status, server.count()), (200, 2));
}

#[tokio::test]
async fn tls_meant_for_the_application_passes_untouched() {
    let lab = Lab::default();
    let app = Memory::default();
    serve_raw(&app, POD.parse().unwrap(), |mut io| async move {
        let mut first = [0; 5];
        io.read_exact(&mut first).await.unwrap();
        io.write_all(&first).await.unwrap();
    });
    let identity = Authority::new().identity(WEB_ID);
    let behind = lab.proxy(&app, |config| config.identity = Some(identity));
    lab.mesh(&behind, POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    // A handshake for another name, made by hand far enough to be known as one.
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
async fn a_peers_own_failure_closes_the_callers_connection_and_its_words_stay_in_the_mesh() {
    let authority = Authority::new();
    let lab = Lab::default();
    let identity = authority.identity(WEB_ID);
    // No application listens behind this proxy.
    let behind = lab.proxy(&Memory::default(), |config| config.identity = Some(identity));
    lab.mesh(&behind, POD.parse().unwrap());
    lab.service("web", WEB, &[Endpoint { identity: Some(WEB_ID.into()), ..endpoint(POD) }]);
    let identity = authority.identity(CLIENT_ID);
    let client = Client::new(lab.proxy(&Memory::default(), |config| config.identity = Some(identity)));
    let reply = client.get("/").await;
    assert_eq!((reply.status, &reply.headers["connection"]), (502, &"close".parse().unwrap()));
    assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("l5d-")), "{:?}", reply.headers);
}
