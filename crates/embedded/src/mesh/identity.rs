//! The mesh's certificates: one trust anchor for the life of the process, one certificate a ServiceAccount.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use meshy_dataplane::Identity;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// The name a workload proves, as Linkerd forms it.
pub(crate) fn name(service_account: &str, namespace: &str) -> String {
    let account = if service_account.is_empty() { "default" } else { service_account };
    format!("{account}.{namespace}.serviceaccount.identity.linkerd.cluster.local")
}

/// Issues the identities of the cluster's proxies. Its key never leaves the process.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_sha256: String,
    issued: Mutex<HashMap<String, Identity>>,
}

impl Authority {
    /// A new trust anchor.
    ///
    /// # Errors
    /// When no key can be made.
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

    /// The hash that injected pods are annotated with.
    pub(crate) fn root_sha256(&self) -> &str {
        &self.root_sha256
    }

    /// The identity of a ServiceAccount, made once and shared by its pods.
    pub(crate) fn identity(&self, service_account: &str, namespace: &str) -> Option<Identity> {
        let name = name(service_account, namespace);
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = issued.get(&name) {
            return Some(found.clone());
        }
        let identity = self
            .issue(&name)
            .inspect_err(|error| tracing::error!(identity = name, %error, "issue the mesh identity"))
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
