//! The name of a lab: the only value from which a path below `labs/` is built.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name. A node of the embedded cluster is `NAME-embedded` and a kubeconfig context `embedded-NAME`: both stay DNS
/// labels (63 characters). 53 is also Helm's limit for a release name.
const LONGEST: usize = 53;

/// A lab's name: a DNS label (RFC 1123) of 1 to 53 characters. It has no `/` and no `.`, so it cannot lead out of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

/// A text that is not a lab's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {LONGEST} lower-case letters, digits or `-`, with a letter or digit at both ends")]
pub struct InvalidLabName;

impl LabName {
    /// The lab that commands act on without `--name`.
    pub const DEFAULT: &str = "meshy";
}

impl Default for LabName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for LabName {
    type Err = InvalidLabName;

    fn from_str(text: &str) -> Result<Self, InvalidLabName> {
        let label = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let good = (1..=LONGEST).contains(&text.len())
            && text.bytes().all(label)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidLabName) }
    }
}

impl TryFrom<String> for LabName {
    type Error = InvalidLabName;

    fn try_from(text: String) -> Result<Self, InvalidLabName> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl Deref for LabName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_of_up_to_53_characters_is_a_name() {
        let longest = "a".repeat(LONGEST);
        for good in ["a", "0", "meshy", "lab-2", "a--b", "2024", &longest] {
            assert_eq!(good.parse::<LabName>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn what_could_lead_out_of_a_folder_or_is_not_a_dns_label_is_refused() {
        let too_long = "a".repeat(LONGEST + 1);
        let bad = [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/",
            "/etc/x",
            "a.b",
            "-a",
            "a-",
            "-",
            "A",
            "Meshy",
            "a b",
            " a",
            "a\n",
            "a\0",
            "~",
            "é",
            "ａ",
            "a_b",
            "a:b",
            "$HOME",
            "*",
            "\u{202e}a",
            &too_long,
        ];
        for bad in bad {
            assert_eq!(bad.parse::<LabName>(), Err(InvalidLabName), "{bad:?}");
            let json = serde_json::to_string(bad).unwrap();
            assert!(serde_json::from_str::<LabName>(&json).is_err(), "{bad:?} in a record");
        }
    }
}
