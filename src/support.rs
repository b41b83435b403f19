//! The support bundle: an archive whose every text is redacted on its way in.

use std::io::Write;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use regex::Regex;

/// What must not leave the machine, as it looks in any text: PEM private keys (also as one JSON string or base64), bearer
/// tokens, JSON web tokens, kubeconfig credentials, passwords in URLs.
static SECRETS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", "[private key]"),
        (r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]+", "[base64 of PEM]"),
        (r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", "[token]"),
        (r"(?i)\b(bearer\s+)[^\s\x22']+", "${1}[token]"),
        (
            r"(?i)((?:client-key-data|client-certificate-data|token|password|secret)\x22?\s*[:=]\s*\x22?)[^\s\x22,}]+",
            "${1}[redacted]",
        ),
        (r"(?i)(https?://)[^/\s:@]+:[^/\s@]+@", "${1}[redacted]@"),
    ];
    rules.into_iter().map(|(rule, with)| (Regex::new(rule).expect("a fixed pattern"), with)).collect()
});

/// A text without keys, tokens and passwords.
pub(crate) fn redact(text: &str) -> String {
    SECRETS.iter().fold(text.to_owned(), |text, (rule, with)| rule.replace_all(&text, *with).into_owned())
}

/// A bundle in the making.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    entries: Vec<(String, String)>,
    left_out: Vec<String>,
}

impl Archive {
    /// Adds a text, redacted.
    pub(crate) fn add(&mut self, name: &str, text: &str) {
        self.entries.push((name.to_owned(), redact(text)));
    }

    /// Notes what could not be had and why.
    pub(crate) fn missing(&mut self, name: &str, why: String) {
        self.left_out.push(format!("{name}: {}", redact(&why)));
    }

    /// The compressed archive, the names of its entries, and what was left out (also in the archive).
    ///
    /// # Errors
    /// None in memory but what the archive's format refuses (a path that is too long).
    pub(crate) fn finish(mut self) -> std::io::Result<(Vec<u8>, Vec<String>, Vec<String>)> {
        self.entries.push(("left-out.txt".to_owned(), self.left_out.join("\n")));
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, text) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            tar.append_data(&mut header, format!("meshy-support/{name}"), text.as_bytes())?;
        }
        let mut encoder = tar.into_inner()?;
        encoder.flush()?;
        let names = self.entries.into_iter().map(|(name, _)| name).collect();
        Ok((encoder.finish()?, names, self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn no_canary_survives_in_the_archive() {
        let canaries = [
            "-----BEGIN EC PRIVATE KEY-----\nCANARYa\n-----END EC PRIVATE KEY-----",
            "client-key-data: CANARYb",
            "{\"token\":\"CANARYc\"}",
            "authorization: Bearer CANARYd",
            "http://user:CANARYe@proxy:3128/",
            "eyJCANARYfeyJzdWIi.CANARYf.CANARYf",
            "password=CANARYg",
        ];
        let mut archive = Archive::default();
        for (i, canary) in canaries.iter().enumerate() {
            archive.add(&format!("{i}.txt"), &format!("before {canary} after"));
            archive.missing("x", (*canary).to_owned());
        }
        let (bytes, names, _) = archive.finish().unwrap();
        assert_eq!(names.len(), canaries.len() + 1);
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        assert!(text.contains("before ") && text.contains(" after"));
        assert!(!text.contains("CANARY"), "{text}");
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let text = "pod bounced-service-6d4 Running; secretName: x509; the token bucket refills";
        assert_eq!(redact(text), text);
    }
}
