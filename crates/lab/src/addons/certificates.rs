//! Certificates: made once, kept in the cluster's Secrets, read back afterwards.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use x509_parser::prelude::{FromDer as _, Pem, X509Certificate};

/// How long a certificate is good for.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);
/// The last second that a certificate can name, in seconds after 1970: that of the year 9999.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);
/// Clocks of nodes differ; a certificate of this moment should hold on one that is behind.
const BACKDATED: Duration = Duration::from_secs(300);

/// Linkerd's trust anchor and the issuer that it signed. The anchor's own key is not part of it: nothing needs it again.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// What every proxy trusts, PEM, one or several certificates.
    pub trust_anchors: String,
    /// The issuer's certificate, PEM.
    pub issuer: String,
    /// The issuer's key, PEM.
    pub issuer_key: String,
}

/// A webhook's certificate, its key, and the authority that the API server trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct Serving {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    /// PEM.
    pub authority: String,
}

// Keys stay out of logs and panics.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes an anchor and an issuer for a trust domain: ECDSA P-256, good for a year.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn make(trust_domain: &str) -> anyhow::Result<Self> {
        let anchor_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let anchor = authority(&format!("root.linkerd.{trust_domain}"), None)?;
        let anchor_certificate = anchor.self_signed(&anchor_key)?;
        let issuer_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        // The identity controller checks its issuer for this very name.
        let issuer = authority(&format!("identity.linkerd.{trust_domain}"), Some(0))?;
        let issuer = issuer.signed_by(&issuer_key, &Issuer::from_params(&anchor, &anchor_key))?;
        Ok(Self {
            trust_anchors: anchor_certificate.pem(),
            issuer: issuer.pem(),
            issuer_key: issuer_key.serialize_pem(),
        })
    }

    /// Takes an anchor, and an issuer with its key from one file, as a user brings them.
    ///
    /// # Errors
    /// Something is missing, expired, no authority, not ECDSA P-256, or the anchor did not sign the issuer.
    pub fn bring(trust_anchors: &str, issuer: &str) -> anyhow::Result<Self> {
        let certificate = blocks(issuer, "CERTIFICATE").context("the issuer's file has no certificate")?;
        let key = blocks(issuer, "PRIVATE KEY").context("the issuer's file has no private key")?;
        let identity = Self {
            trust_anchors: trust_anchors.trim().to_owned() + "\n",
            issuer: certificate,
            issuer_key: key,
        };
        identity.check(SystemTime::now())?;
        Ok(identity)
    }

    fn check(&self, now: SystemTime) -> anyhow::Result<()> {
        let issuer = describe(&self.issuer).context("cannot read the issuer")?;
        let anchors = describe_all(&self.trust_anchors).context("cannot read the trust anchor")?;
        for (what, about) in
            [("issuer", &issuer)].into_iter().chain(anchors.iter().map(|a| ("trust anchor", a)))
        {
            if about.not_after <= now {
                bail!("the {what} `{}` is expired", about.subject);
            }
            if !about.is_authority {
                bail!("the {what} `{}` is not a certificate authority", about.subject);
            }
        }
        if !issuer.is_p256 {
            bail!("the issuer's key is not ECDSA P-256, the only kind that Linkerd's proxies sign with");
        }
        let key = KeyPair::from_pem(&self.issuer_key).context("cannot read the issuer's key")?;
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(self.issuer.as_bytes()).context("cannot read the issuer")?;
        let certificate = pem.parse_x509().context("cannot read the issuer")?;
        if certificate.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            bail!("the issuer's key does not belong to its certificate");
        }
        let signed = Pem::iter_from_buffer(self.trust_anchors.as_bytes()).flatten().any(|anchor| {
            anchor.parse_x509().is_ok_and(|anchor| {
                certificate.issuer() == anchor.subject()
                    && certificate.verify_signature(Some(anchor.public_key())).is_ok()
            })
        });
        if !signed {
            bail!("the trust anchor did not sign the issuer `{}`", issuer.subject);
        }
        Ok(())
    }
}

impl Serving {
    /// Makes a certificate for a Service and an authority for it alone, whose key is thrown away.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn make(service: &str, namespace: &str) -> anyhow::Result<Self> {
        let host = format!("{service}.{namespace}.svc");
        let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let ca = authority(&format!("{host} authority"), Some(0))?;
        let ca_certificate = ca.self_signed(&ca_key)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new([host.clone(), format!("{service}.{namespace}")])?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        dated(&mut params);
        let certificate = params.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem(), authority: ca_certificate.pem() })
    }

    /// Stands in where nothing secret may be shown.
    pub fn placeholder(name: &str) -> Self {
        let text = |what: &str| format!("({what} of {name}{PLACEHOLDER}\n");
        Self { certificate: text("certificate"), key: text("key"), authority: text("authority") }
    }
}

/// How every placeholder ends.
const PLACEHOLDER: &str = ": made at installation)";

/// Whether a whole text only stands in for a certificate or key.
pub(crate) fn is_placeholder(text: &str) -> bool {
    text.starts_with('(') && text.trim_end().ends_with(PLACEHOLDER)
}

fn authority(name: &str, path_length: Option<u8>) -> anyhow::Result<CertificateParams> {
    let host = !name.contains(' ');
    let mut params = CertificateParams::new(if host { vec![name.to_owned()] } else { Vec::new() })?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca =
        IsCa::Ca(path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    dated(&mut params);
    Ok(params)
}

fn dated(params: &mut CertificateParams) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + VALIDITY).min(UNIX_EPOCH + LAST_SECOND).into();
}

/// The PEM blocks whose label ends so, together.
fn blocks(text: &str, label: &str) -> Option<String> {
    let mut found = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside |= line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{label}-----"));
        if inside {
            found.push_str(line.trim_end());
            found.push('\n');
        }
        inside &= !line.starts_with("-----END ");
    }
    (!found.is_empty()).then_some(found)
}

/// What is reported about a certificate.
#[derive(Clone, Debug)]
pub struct About {
    /// Its subject's common name, or the whole subject.
    pub subject: String,
    /// When it begins to hold.
    pub not_before: SystemTime,
    /// When it ceases to.
    pub not_after: SystemTime,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// Whether its key is ECDSA on P-256.
    pub is_p256: bool,
}

impl About {
    /// Whole days until it ceases to hold; negative once it has.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        const DAY: u64 = 24 * 3600;
        match self.not_after.duration_since(now) {
            Ok(left) => (left.as_secs() / DAY) as i64,
            Err(over) => -(over.duration().as_secs().div_ceil(DAY) as i64),
        }
    }
}

/// Reads the first certificate of a PEM text.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn describe(pem: &str) -> anyhow::Result<About> {
    describe_all(pem)?.into_iter().next().ok_or_else(|| anyhow!("there is no certificate"))
}

/// Reads all certificates of a PEM text.
///
/// # Errors
/// There is none, or one cannot be read.
pub fn describe_all(pem: &str) -> anyhow::Result<Vec<About>> {
    let mut all = Vec::new();
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.context("it is not PEM")?;
        if block.label != "CERTIFICATE" {
            continue;
        }
        let (_, certificate) =
            X509Certificate::from_der(&block.contents).context("it is not a certificate")?;
        let name = certificate.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
        let at = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64);
        // Named curve prime256v1, as object identifier 1.2.840.10045.3.1.7.
        let curve = certificate.public_key().algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
        all.push(About {
            subject: name.map_or_else(|| certificate.subject().to_string(), str::to_owned),
            not_before: at(certificate.validity().not_before.timestamp()),
            not_after: at(certificate.validity().not_after.timestamp()),
            is_authority: certificate.is_ca(),
            is_p256: curve.is_some_and(|oid| oid.to_id_string() == "1.2.840.10045.3.1.7"),
        });
    }
    if all.is_empty() {
        bail!("there is no certificate");
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
