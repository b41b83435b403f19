//! TLS to a target.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Where Linux distributions keep the certificates of the authorities that they trust.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities that a target's certificate is checked against.
#[derive(Clone, Debug)]
pub struct Tls(Arc<RootCertStore>);

/// A TLS connection.
pub(crate) type Stream = tokio_rustls::client::TlsStream<meshy_net::BoxIo>;

impl Tls {
    /// Trusts the authorities whose certificates are in this PEM text.
    ///
    /// # Errors
    /// Returns an error if the text has no valid certificate.
    pub fn with_authorities(pem: &[u8]) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.context("invalid PEM")?).context("invalid certificate")?;
        }
        ensure!(!roots.is_empty(), "no certificate in PEM form");
        Ok(Self(Arc::new(roots)))
    }

    /// Trusts the authorities of the system.
    ///
    /// # Errors
    /// Returns an error if they are in none of the usual files.
    pub(crate) fn of_system() -> anyhow::Result<Self> {
        let file = SYSTEM.iter().find(|file| Path::new(file).is_file());
        let file = file.with_context(|| format!("no trusted authorities in {}", SYSTEM.join(", ")))?;
        let pem = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
        let mut roots = RootCertStore::empty();
        // Among hundreds of certificates one may be of a kind that is not supported.
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
        ensure!(!roots.is_empty(), "no valid certificate in {file}");
        Ok(Self(Arc::new(roots)))
    }

    /// Makes a TLS connection over a stream and offers these protocols.
    pub(crate) async fn connect(
        &self,
        host: &str,
        offered: &[&str],
        stream: meshy_net::BoxIo,
    ) -> anyhow::Result<Stream> {
        let mut config = ClientConfig::builder().with_root_certificates(self.0.clone()).with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(host.to_owned()).with_context(|| format!("invalid host `{host}`"))?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }
}

/// Whether the server chose HTTP/2.
pub(crate) fn chose_http2(stream: &Stream) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
