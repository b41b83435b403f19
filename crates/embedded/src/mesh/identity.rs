//! The mesh's certificates: one trust anchor for the life of the process, one certificate a ServiceAccount, rotated.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meshy_dataplane::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::sleep;

/// How long a certificate is valid, as in Linkerd.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// When a certificate is replaced: after 70 % of its lifetime, as in Linkerd.
const ROTATION: Duration = Duration::from_secs(24 * 3600 * 7 / 10);
/// How far back a certificate is valid, because the clock may be set back.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// The last second that a certificate can name, in seconds after 1970: that of the year 9999.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);
/// How often the age of the certificates is checked. Timers stop while a computer is suspended, its clock does not.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Returns the identity name of a workload, as Linkerd forms it.
pub(super) fn identity_name(service_account: &str, namespace: &str) -> String {
    format!("{service_account}.{namespace}.serviceaccount.identity.linkerd.cluster.local")
}

/// Issues the identities of the proxies. Its key never leaves the process.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_sha256: String,
    issued: Mutex<HashMap<String, Issued>>,
}

/// The current identity of a ServiceAccount.
struct Issued {
    identity: watch::Sender<Identity>,
    at: SystemTime,
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
        // It ends with the process, whatever the clock shows.
        (params.not_before, params.not_after) = (date_time_ymd(1970, 1, 1), date_time_ymd(9999, 12, 31));
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

    /// Returns the identity of a ServiceAccount, which its pods share; the watch has each new certificate.
    pub(super) fn identity(
        &self,
        service_account: &str,
        namespace: &str,
    ) -> Option<watch::Receiver<Identity>> {
        let name = identity_name(service_account, namespace);
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = issued.get(&name) {
            return Some(found.identity.subscribe());
        }
        let at = SystemTime::now();
        let identity = watch::Sender::new(self.issue(&name, at)?);
        let receiver = identity.subscribe();
        issued.insert(name, Issued { identity, at });
        Some(receiver)
    }

    /// Replaces certificates before they expire; never returns.
    pub(crate) async fn rotate(&self) {
        loop {
            sleep(CHECK_INTERVAL).await;
            self.rotate_due(SystemTime::now());
        }
    }

    fn rotate_due(&self, now: SystemTime) {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.retain(|_, issued| !issued.identity.is_closed());
        let is_due = |issued: &Issued| now.duration_since(issued.at).is_ok_and(|age| age >= ROTATION);
        for (name, issued) in issued.iter_mut().filter(|(_, issued)| is_due(issued)) {
            if let Some(identity) = self.issue(name, now) {
                issued.identity.send_replace(identity);
                issued.at = now;
            }
        }
    }

    fn issue(&self, name: &str, now: SystemTime) -> Option<Identity> {
        let signed = self.sign(name, now);
        signed.inspect_err(|error| tracing::error!(identity = name, %error, "cannot issue the identity")).ok()
    }

    fn sign(&self, name: &str, now: SystemTime) -> Result<Identity, Box<dyn std::error::Error>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + LIFETIME).min(UNIX_EPOCH + LAST_SECOND).into();
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::try_from(key.serialize_der())?;
        Ok(Identity::new(name, vec![certificate.der().clone()], private, [self.root.clone()])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_issued_with_a_wrong_clock() {
        let authority = Authority::new().expect("an authority");
        for now in [UNIX_EPOCH, UNIX_EPOCH + LAST_SECOND - Duration::from_secs(60)] {
            assert!(authority.issue("default.default", now).is_some(), "{now:?}");
        }
    }

    #[test]
    fn a_certificate_is_replaced_after_seventy_percent_of_its_lifetime() {
        let authority = Authority::new().expect("an authority");
        let mut identity = authority.identity("default", "default").expect("an identity");
        let issued = SystemTime::now();
        authority.rotate_due(issued + ROTATION - Duration::from_secs(10));
        assert!(!identity.has_changed().expect("the authority holds the sender"));
        authority.rotate_due(issued + ROTATION);
        assert!(identity.has_changed().expect("the authority holds the sender"));
        identity.mark_unchanged();
        authority.rotate_due(issued + ROTATION + ROTATION / 2);
        assert!(!identity.has_changed().expect("the authority holds the sender"));
        drop(identity);
        authority.rotate_due(issued + LIFETIME);
        assert!(authority.issued.lock().unwrap_or_else(PoisonError::into_inner).is_empty(), "without pods");
    }
}
