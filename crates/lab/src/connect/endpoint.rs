//! The API server of a lab as another program reaches it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;

use super::{Loaded, loaded_of, settings};
use crate::lab::{Env, Record};

/// How a program reaches an API server: the address, and the credentials of the lab's user.
pub struct Endpoint {
    /// Host and port.
    pub address: String,
    /// The certificate authority, PEM.
    pub authority: String,
    /// The bearer token; `None` if the user has another credential.
    pub token: Option<String>,
}

impl Env {
    /// Returns how another program reaches a lab's API server.
    ///
    /// # Errors
    /// As [`Env::client_of`].
    pub async fn endpoint_of(&self, lab: &Record) -> anyhow::Result<Endpoint> {
        let loaded: Loaded = loaded_of(lab, self.kubeconfig.as_deref())?;
        let found = loaded.context(&lab.context)?;
        let (config, _) = settings::of(&loaded, &found).await?;
        let bearer = config.headers.iter().find(|(name, _)| *name == AUTHORIZATION);
        let token = bearer.and_then(|(_, value)| value.to_str().ok()?.strip_prefix("Bearer "));
        let address = config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
        let authority = config.root_cert.iter().flatten().map(|der| pem(der)).collect();
        Ok(Endpoint { address, authority, token: token.map(str::to_owned) })
    }
}

/// Returns a certificate as PEM.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    #[test]
    fn a_certificate_is_the_same_after_its_text_is_read() {
        let der: Vec<u8> = (0..200).collect();
        let read = CertificateDer::from_pem_slice(super::pem(&der).as_bytes()).expect("PEM");
        assert_eq!(read.as_ref(), der);
    }
}
