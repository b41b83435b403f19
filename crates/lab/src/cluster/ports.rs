//! Ports of this machine: which are taken, which pair to use.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;

/// Whether a port of 127.0.0.1 is taken. Only "address in use" shows it: a port that this user may not bind may well be
/// bound by the engine.
pub(super) fn taken(port: u16) -> bool {
    matches!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)), Err(e) if e.kind() == ErrorKind::AddrInUse)
}

/// The ingress's pair: 80 and 443, else 8080 and 8443, else the next pair of which both are free.
pub(super) fn pair(is_taken: impl Fn(u16) -> bool) -> anyhow::Result<(u16, u16)> {
    let later = (0..100).map(|i| (8080 + i, 8443 + i));
    let mut pairs = std::iter::once((80, 443)).chain(later);
    let free = pairs.find(|(http, https)| !is_taken(*http) && !is_taken(*https));
    free.context("no pair of ports for the ingress is free: tried 80/443 and 8080/8443 to 8179/8542")
}

/// The wanted port, or the next free one after it.
pub(super) fn one(wanted: u16, is_taken: impl Fn(u16) -> bool) -> anyhow::Result<u16> {
    let free = (wanted..wanted.saturating_add(100)).find(|p| !is_taken(*p));
    free.with_context(|| format!("no port from {wanted} on is free"))
}

/// A test for ports: taken by a listener here or mapped by one of the engine's containers.
pub(super) fn test(mapped: HashSet<u16>) -> impl Fn(u16) -> bool {
    move |port| mapped.contains(&port) || taken(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_needs_both_of_its_ports() {
        assert_eq!(pair(|_| false).unwrap(), (80, 443));
        assert_eq!(pair(|p| p == 443).unwrap(), (8080, 8443));
        assert_eq!(pair(|p| [80, 8443].contains(&p)).unwrap(), (8081, 8444));
        assert!(pair(|_| true).is_err());
    }

    #[test]
    fn a_listener_takes_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(taken(port));
        assert_ne!(one(port, taken).unwrap(), port);
        drop(listener);
        assert!(!taken(port));
    }
}
