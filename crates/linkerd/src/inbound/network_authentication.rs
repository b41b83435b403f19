//! NetworkAuthentication: a list of networks.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::{InvalidPolicy, spec};

/// A NetworkAuthentication.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NetworkAuthentication {
    /// The networks; a caller is in one of them.
    pub networks: Vec<NetworkSpec>,
}

/// A network without some of its parts, each as a CIDR or as an address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NetworkSpec {
    /// The network.
    pub cidr: String,
    /// Parts that do not belong to it.
    #[serde(default)]
    pub except: Vec<String>,
}

impl NetworkAuthentication {
    /// Parses a NetworkAuthentication.
    ///
    /// # Errors
    /// A field is missing or is not a network.
    pub fn from_value(object: &Value) -> Result<Self, InvalidPolicy> {
        const KIND: &str = "NetworkAuthentication";
        let found: Self = spec(KIND, object)?;
        check(KIND, &found.networks)?;
        Ok(found)
    }
}

/// Checks that all parts of networks are CIDRs or addresses.
pub(crate) fn check(kind: &'static str, networks: &[NetworkSpec]) -> Result<(), InvalidPolicy> {
    let all = networks.iter().flat_map(|network| network.except.iter().chain([&network.cidr]));
    match all.into_iter().find(|text| cidr(text).is_none()) {
        Some(text) => Err(InvalidPolicy::new(kind, format!("invalid network `{text}`, expected a CIDR"))),
        None => Ok(()),
    }
}

/// Parses a CIDR or an address; returns the address and the number of bits.
pub fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(most);
    (length <= most).then_some((address, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_cidr_or_an_address() {
        assert_eq!(cidr("10.0.0.0/8"), Some(([10, 0, 0, 0].into(), 8)));
        assert_eq!(cidr("fd00::/8").map(|(_, length)| length), Some(8));
        assert_eq!(cidr("10.0.0.1"), Some(([10, 0, 0, 1].into(), 32)));
        for invalid in ["", "10.0.0.0/33", "10.0.0/8", "all", "::/129"] {
            assert_eq!(cidr(invalid), None, "{invalid}");
        }
    }
}
