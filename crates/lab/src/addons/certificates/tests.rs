//! Certificates prove themselves in a handshake, not by how they look.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A handshake between a server with this chain and a client that trusts these authorities.
async fn handshake(chain: &str, key: &str, authorities: &str, host: &str) -> Result<(), String> {
    let certificates = |pem: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(|c| c.expect("PEM")).collect()
    };
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates(chain), PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
        .map_err(|e| e.to_string())?;
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities) {
        roots.add(authority).map_err(|e| e.to_string())?;
    }
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let (client, _) = tokio::join!(
        TlsConnector::from(Arc::new(client)).connect(host, near),
        TlsAcceptor::from(Arc::new(server)).accept(far),
    );
    client.map(drop).map_err(|e| e.to_string())
}

#[tokio::test]
async fn the_api_server_would_trust_a_webhook_under_its_services_name_only() {
    let pair = Serving::make("linkerd-proxy-injector", "linkerd").unwrap();
    let other = Serving::make("linkerd-sp-validator", "linkerd").unwrap();
    let call = |authority: String, host: &'static str| {
        let pair = pair.clone();
        async move { handshake(&pair.certificate, &pair.key, &authority, host).await }
    };
    assert_eq!(call(pair.authority.clone(), "linkerd-proxy-injector.linkerd.svc").await, Ok(()));
    assert!(call(pair.authority.clone(), "linkerd-sp-validator.linkerd.svc").await.is_err());
    assert!(call(other.authority, "linkerd-proxy-injector.linkerd.svc").await.is_err());
}

#[tokio::test]
async fn a_proxy_with_a_certificate_of_the_issuer_is_trusted_by_the_anchor() {
    let identity = Identity::make("cluster.local").unwrap();
    let issuer_key = KeyPair::from_pem(&identity.issuer_key).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&identity.issuer, issuer_key).unwrap();
    let name = "minimal-service.default.serviceaccount.identity.linkerd.cluster.local";
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    dated(&mut params);
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let chain = leaf.pem() + &identity.issuer;
    assert_eq!(handshake(&chain, &key.serialize_pem(), &identity.trust_anchors, name).await, Ok(()));
    let stranger = Identity::make("cluster.local").unwrap();
    assert!(handshake(&chain, &key.serialize_pem(), &stranger.trust_anchors, name).await.is_err());
}

#[test]
fn certificates_hold_a_year_and_are_what_linkerd_asks_for() {
    let identity = Identity::make("cluster.local").unwrap();
    for pem in [&identity.trust_anchors, &identity.issuer] {
        let about = describe(pem).unwrap();
        assert!(about.is_authority && about.is_p256);
        assert_eq!(about.days_left(SystemTime::now()), 364);
        assert_eq!(about.days_left(SystemTime::now() + Duration::from_secs(366 * 24 * 3600)), -1);
    }
    assert_eq!(describe(&identity.issuer).unwrap().subject, "identity.linkerd.cluster.local");
}

#[test]
fn what_a_user_brings_is_checked_before_it_is_used() {
    let identity = Identity::make("cluster.local").unwrap();
    let file = identity.issuer.clone() + &identity.issuer_key;
    assert_eq!(Identity::bring(&identity.trust_anchors, &file).unwrap(), identity);
    let stranger = Identity::make("cluster.local").unwrap();
    let error = |anchors: &str, issuer: &str| Identity::bring(anchors, issuer).unwrap_err().to_string();
    assert!(error(&stranger.trust_anchors, &file).contains("did not sign"));
    assert!(error(&identity.trust_anchors, &identity.issuer).contains("no private key"));
    assert!(
        error(&identity.trust_anchors, &(identity.issuer.clone() + &stranger.issuer_key))
            .contains("does not belong")
    );
    let leaf = Serving::make("a", "b").unwrap();
    assert!(error(&leaf.authority, &(leaf.certificate + &leaf.key)).contains("not a certificate authority"));
    let expired = identity.check(SystemTime::now() + Duration::from_secs(366 * 24 * 3600)).unwrap_err();
    assert!(expired.to_string().contains("expired"));
}

#[test]
fn keys_stay_out_of_debug_output() {
    let identity = Identity::make("cluster.local").unwrap();
    let serving = Serving::make("a", "b").unwrap();
    assert!(!format!("{identity:?} {serving:?}").contains("PRIVATE"));
}
