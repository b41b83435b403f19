//! A proxy's mesh identity: the certificate that it presents and the roots that it trusts, as a client and as a server.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use tokio::sync::watch;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Certificate, key and trust roots of one workload, ready for handshakes.
#[derive(Clone)]
pub struct Identity {
    name: Arc<str>,
    /// When the certificate expires, in seconds since the epoch.
    expires: i64,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The name is not a valid DNS name.
    #[error("read the mesh identity's name")]
    Name(#[from] InvalidDnsNameError),
    /// The certificate does not match the key, or a root is invalid.
    #[error("load the mesh identity's certificates")]
    Tls(#[from] rustls::Error),
    /// No root can be used to verify peers.
    #[error("load the mesh's trust roots")]
    Roots(#[from] rustls::server::VerifierBuilderError),
}

impl Identity {
    /// Builds an identity such as `default.default.serviceaccount.identity.linkerd.cluster.local`, which must be one of the
    /// DNS names of the first certificate. Certificates of peers must chain up to one of the roots.
    ///
    /// # Errors
    /// When the name, the certificates, the key or the roots cannot be used.
    pub fn new(
        name: &str,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        ServerName::try_from(name.to_owned())?;
        let expires = chain.first().and_then(expiration).unwrap_or(i64::MAX);
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        let store = Arc::new(store);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(store.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())?;
        // Connections are kept open, so handshakes are rare; stored sessions would cost every idle proxy memory.
        client.resumption = Resumption::disabled();
        client.enable_sni = true;
        let verifier = WebPkiClientVerifier::builder_with_provider(store, provider.clone()).build()?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { name: name.into(), expires, client: Arc::new(client), server: Arc::new(server) })
    }

    /// Returns the identity's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns when the certificate expires, in seconds since the epoch.
    pub(crate) fn expires(&self) -> i64 {
        self.expires
    }

    /// Returns a watch whose value never changes, for an identity that is not rotated.
    pub fn into_watch(self) -> watch::Receiver<Self> {
        watch::channel(self).1
    }
}

fn expiration(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Returns the first DNS name of a peer's verified certificate.
pub(crate) fn peer_name(certificates: Option<&[CertificateDer<'_>]>) -> Option<Arc<str>> {
    let (_, certificate) = X509Certificate::from_der(certificates?.first()?).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => Some(Arc::from(*name)),
        _ => None,
    })
}
