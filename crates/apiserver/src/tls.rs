//! The certificate authority of the server.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

use crate::error::{ApiError, Result};

/// A certificate authority for the server certificate and client certificates. Keys are ECDSA P-256, which take less than
/// 1 ms to generate.
pub struct CertificateAuthority {
    certificate_pem: String,
    key: KeyPair,
}

/// A signed certificate with its private key.
pub struct SignedCertificate {
    /// Certificate as PEM.
    pub certificate: String,
    /// Private key as PEM. Write it with mode 0600.
    pub key: String,
}

/// The certificates live as long as their cluster, whatever the clock of the machine shows.
fn set_always_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
}

impl CertificateAuthority {
    /// Returns a new authority with a random key.
    ///
    /// # Errors
    /// 500 if the key or the certificate cannot be created.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate().map_err(ApiError::internal)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "meshy embedded");
        set_always_valid(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(ApiError::internal)?;
        Ok(Self { certificate_pem: certificate.pem(), key })
    }

    /// Returns the authority with this certificate and private key, both PEM.
    ///
    /// # Errors
    /// 500 if the key is invalid.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key).map_err(ApiError::internal)?;
        Ok(Self { certificate_pem: certificate.to_owned(), key })
    }

    /// Returns the certificate as PEM, for clients to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns the private key as PEM. Write it with mode 0600.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Returns a client certificate with administrator rights.
    ///
    /// # Errors
    /// 500 if it cannot be signed.
    pub fn client(&self, name: &str) -> Result<SignedCertificate> {
        self.sign(name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        name: &str,
        hosts: &[String],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<SignedCertificate> {
        let issuer =
            Issuer::from_ca_cert_pem(&self.certificate_pem, &self.key).map_err(ApiError::internal)?;
        let key = KeyPair::generate().map_err(ApiError::internal)?;
        let mut params = CertificateParams::new(hosts.to_vec()).map_err(ApiError::internal)?;
        set_always_valid(&mut params);
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer).map_err(ApiError::internal)?;
        Ok(SignedCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Returns the TLS configuration of the server. A client certificate of this authority is requested but not required.
    pub(crate) fn server_config(&self) -> Result<ServerConfig> {
        let hosts =
            ["127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default.svc"].map(str::to_owned);
        let signed = self.sign("apiserver", &hosts, ExtendedKeyUsagePurpose::ServerAuth)?;
        let certificate =
            CertificateDer::from_pem_slice(signed.certificate.as_bytes()).map_err(ApiError::internal)?;
        let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).map_err(ApiError::internal)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let certificate_authority =
            CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).map_err(ApiError::internal)?;
        roots.add(certificate_authority).map_err(ApiError::internal)?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;

    #[test]
    fn certificate_of_the_server_is_valid_with_a_wrong_clock() {
        let authority = CertificateAuthority::new().unwrap();
        let signed =
            authority.sign("apiserver", &["127.0.0.1".to_owned()], ExtendedKeyUsagePurpose::ServerAuth);
        let certificate = CertificateDer::from_pem_slice(signed.unwrap().certificate.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        // 1 January 1970, 29 November 2026, 30 December 9999.
        for seconds in [0, 1_795_910_400, 253_402_128_000] {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let verified = verifier.verify_server_cert(&certificate, &[], &name, &[], now);
            assert!(verified.is_ok(), "{seconds} s after 1970: {verified:?}");
        }
    }
}
