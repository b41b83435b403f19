//! The ports of a container as free loopback ports of this machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use crate::program::Env;

/// The variable that gets the first port if the container does not set it.
const PORT: &str = "PORT";

/// Parts of names of variables and flags whose value can be a port alone.
const PORT_NAMES: [&str; 4] = ["PORT", "ADDR", "LISTEN", "BIND"];

/// The hosts of addresses that a server listens on.
const LISTEN_HOSTS: [&str; 6] = ["", "0.0.0.0", "127.0.0.1", "localhost", "[::]", "[::1]"];

/// The addresses of all interfaces, which become loopback.
const ANY_ADDRESS: [&str; 3] = ["0.0.0.0", "::", "[::]"];

/// Ports of a container, each with its port on 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports(BTreeMap<u16, u16>);

impl Ports {
    /// Assigns a free port to each declared port; without one, to a number in `PORT`.
    ///
    /// # Errors
    /// The machine has no free port.
    pub(super) async fn assign(declared: &[u16], env: &Env) -> std::io::Result<Self> {
        let mut ports = declared.to_vec();
        if ports.is_empty() {
            ports.extend(env.get(PORT).and_then(|value| value.parse::<u16>().ok()).filter(|port| *port != 0));
        }
        // Held until all are assigned, so that no two are the same.
        let mut held = Vec::new();
        let mut assigned = BTreeMap::new();
        for port in ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            assigned.insert(port, listener.local_addr()?.port());
            held.push(listener);
        }
        Ok(Self(assigned))
    }

    /// Returns pairs of container port and loopback port.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u16, u16)> {
        self.0.iter().map(|(container, local)| (*container, *local))
    }

    /// Replaces the ports in the values of variables, and sets `PORT` unless it is set.
    pub(super) fn in_environment(&self, env: &mut Env) {
        for (name, value) in env.iter_mut() {
            if let Some(new) = self.replaced(value, has_port_name(name)) {
                *value = new;
            } else if ANY_ADDRESS.contains(&value.as_str()) {
                // Nothing listens beyond loopback.
                "127.0.0.1".clone_into(value);
            }
        }
        if let Some((_, local)) = self.pairs().next() {
            env.entry(PORT.to_owned()).or_insert_with(|| local.to_string());
        }
    }

    /// Replaces the ports in arguments: `--port 8080`, `--port=8080`, `-p 8080`, and addresses such as `0.0.0.0:8080`.
    pub(super) fn in_arguments(&self, words: Vec<String>) -> Vec<String> {
        let mut is_port = false;
        let replace = |word: String| {
            let after_flag = std::mem::replace(&mut is_port, word == "-p" || is_flag(&word));
            match word.split_once('=') {
                Some((flag, value)) if ANY_ADDRESS.contains(&value) => format!("{flag}=127.0.0.1"),
                Some((flag, value)) => match self.replaced(value, is_flag(flag)) {
                    Some(new) => format!("{flag}={new}"),
                    None => word,
                },
                None if ANY_ADDRESS.contains(&word.as_str()) => "127.0.0.1".to_owned(),
                None => self.replaced(&word, after_flag).unwrap_or(word),
            }
        };
        words.into_iter().map(replace).collect()
    }

    /// Returns a value with its port replaced; a port without a host counts only where one is expected.
    fn replaced(&self, value: &str, port_expected: bool) -> Option<String> {
        let local = |text: &str| self.0.get(&text.parse::<u16>().ok()?);
        match value.rsplit_once(':') {
            Some((host, port)) if LISTEN_HOSTS.contains(&host) => {
                local(port).map(|local| format!("127.0.0.1:{local}"))
            }
            Some(_) => None,
            None if port_expected => local(value).map(u16::to_string),
            None => None,
        }
    }
}

fn is_flag(word: &str) -> bool {
    word.starts_with('-') && has_port_name(word)
}

fn has_port_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    PORT_NAMES.iter().any(|part| upper.contains(part))
}

#[cfg(test)]
mod tests {
    use super::{Env, Ports};

    fn ports() -> Ports {
        Ports([(8080, 40001), (9090, 40002)].into())
    }

    #[test]
    fn ports_and_addresses_in_the_environment_become_loopback_ports() {
        let pairs = |pairs: &[(&str, &str)]| -> Env {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut env = pairs(&[
            ("HTTP_PORT", "8080"),
            ("LIMIT", "8080"),
            ("ADMIN", ":9090"),
            ("SERVER_ADDR", "0.0.0.0:8080"),
            ("OTHER", "cart:8080"),
            ("HOST", "0.0.0.0"),
        ]);
        ports().in_environment(&mut env);
        let expected = pairs(&[
            ("HTTP_PORT", "40001"),
            ("LIMIT", "8080"),
            ("ADMIN", "127.0.0.1:40002"),
            ("SERVER_ADDR", "127.0.0.1:40001"),
            ("OTHER", "cart:8080"),
            ("HOST", "127.0.0.1"),
            ("PORT", "40001"),
        ]);
        assert_eq!(env, expected);
    }

    #[test]
    fn ports_in_arguments_become_loopback_ports() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let given = words(
            "app --host 0.0.0.0 --port 8080 --limit 8080 --http-port=9090 -p 8080 --bind 0.0.0.0:8080 8080",
        );
        let expected = words(
            "app --host 127.0.0.1 --port 40001 --limit 8080 --http-port=40002 -p 40001 --bind 127.0.0.1:40001 8080",
        );
        assert_eq!(ports().in_arguments(given), expected);
    }

    #[tokio::test]
    async fn a_container_without_declared_ports_has_the_port_of_its_environment() {
        let env = Env::from([("PORT".to_owned(), "8080".to_owned())]);
        let assigned = Ports::assign(&[], &env).await.expect("free ports");
        assert_eq!(assigned.pairs().map(|(port, _)| port).collect::<Vec<_>>(), [8080]);
        let both = Ports::assign(&[80, 81], &env).await.expect("free ports");
        let local: Vec<_> = both.pairs().collect();
        assert_eq!((local[0].0, local[1].0), (80, 81));
        assert_ne!(local[0].1, local[1].1);
    }
}
