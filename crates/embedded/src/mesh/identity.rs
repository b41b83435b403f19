//! The certificates of the mesh: one trust anchor for each process, one certificate for each ServiceAccount.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use meshy_dataplane::Identity;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// Returns the identity name of a workload, as Linkerd forms it.
pub(super) fn identity_name(service_account: &str, namespace: &str) -> String {
    format!("{service_account}.{namespace}.serviceaccount.identity.linkerd.cluster.local")
}

/// Issues the identities of the proxies. Its key never leaves the process.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_sha256: String,
    issued: Mutex<HashMap<String, Identity>>,
}

impl Authority {
    /// Creates a trust anchor.
    ///
    /// # Errors
    /// The key or the certificate cannot be generated.
    pub(crate) fn new() -> Result<Arc<Self>, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "root.linkerd.cluster.local");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let root_sha256 =
            Sha256::digest(certificate.pem()).iter().map(|byte| format!("{byte:02x}")).collect();
        let root = certificate.der().clone();
        Ok(Arc::new(Self { issuer: Issuer::new(params, key), root, root_sha256, issued: Mutex::default() }))
    }

    /// Returns the hash of the trust anchor, for the annotation of injected pods.
    pub(super) fn root_sha256(&self) -> &str {
        &self.root_sha256
    }

    /// Returns the identity of a ServiceAccount, which its pods share; `None` if it cannot be issued.
    pub(super) fn identity(&self, service_account: &str, namespace: &str) -> Option<Identity> {
        let name = identity_name(service_account, namespace);
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = issued.get(&name) {
            return Some(found.clone());
        }
        let identity = self
            .issue(&name)
            .inspect_err(|error| tracing::error!(identity = name, %error, "cannot issue the identity"))
            .ok()?;
        issued.insert(name, identity.clone());
        Some(identity)
    }

    fn issue(&self, name: &str) -> Result<Identity, Box<dyn std::error::Error>> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::try_from(key.serialize_der())?;
        Ok(Identity::new(name, vec![certificate.der().clone()], private, [self.root.clone()])?)
    }
}
