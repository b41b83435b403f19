//! The server's own certificate authority.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

use crate::{ApiError, Result};

/// An authority that signs the server's certificate and clients' certificates. ECDSA on P-256: a key in well under a
/// millisecond.
pub struct Authority {
    pem: String,
    key: KeyPair,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key: write it with mode 0600.
    pub key: String,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate().map_err(ApiError::internal)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "meshy embedded");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(ApiError::internal)?;
        Ok(Self { pem: certificate.pem(), key })
    }

    /// An authority kept from before: its certificate and key as PEM.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn load(certificate: &str, key: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key).map_err(ApiError::internal)?;
        Ok(Self { pem: certificate.to_owned(), key })
    }

    /// The certificate as PEM, for clients to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The private key as PEM: write it with mode 0600.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A client certificate; who shows it is administrator.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn client(&self, name: &str) -> Result<Pair> {
        self.sign(name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: &str, hosts: &[String], usage: ExtendedKeyUsagePurpose) -> Result<Pair> {
        let issuer = Issuer::from_ca_cert_pem(&self.pem, &self.key).map_err(ApiError::internal)?;
        let key = KeyPair::generate().map_err(ApiError::internal)?;
        let mut params = CertificateParams::new(hosts.to_vec()).map_err(ApiError::internal)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer).map_err(ApiError::internal)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// What a TLS listener on loopback needs; asks clients for a certificate of this authority without insisting.
    pub(crate) fn server_config(&self) -> Result<ServerConfig> {
        let hosts =
            ["127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default.svc"].map(str::to_owned);
        let pair = self.sign("apiserver", &hosts, ExtendedKeyUsagePurpose::ServerAuth)?;
        let certificate =
            CertificateDer::from_pem_slice(pair.certificate.as_bytes()).map_err(ApiError::internal)?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(ApiError::internal)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let own = CertificateDer::from_pem_slice(self.pem.as_bytes()).map_err(ApiError::internal)?;
        roots.add(own).map_err(ApiError::internal)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(ApiError::internal)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ApiError::internal)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)
            .map_err(ApiError::internal)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}
