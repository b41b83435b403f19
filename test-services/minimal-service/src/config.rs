//! Reads the configuration from environment variables.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::fault::Fault;
use crate::node::Node;

/// Variables of efbar/minimal-service that this service does not support.
const UNSUPPORTED: [&str; 3] = ["HTTPS", "TRACING", "CONNECT"];

/// The service port of a node.
const NODE_PORT: u16 = 8080;

/// The most characters of an invalid value in an error.
const MAX_SHOWN: usize = 80;

/// What the image runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The test service.
    #[default]
    Service,
    /// A sender of load, controlled on the admin port.
    Sender,
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let roles = [("service", Self::Service), ("sender", Self::Sender)];
        let found = roles.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, role)| role).ok_or("expected `service` or `sender`")
    }
}

/// The settings of one service.
#[derive(Clone, Debug)]
pub struct Config {
    /// `ROLE`: `service`, which is the default, or `sender`.
    pub role: Role,
    /// `SERVICE_PORT`, default 9090, for a node 8080.
    pub service_port: u16,
    /// `ADMIN_PORT`, default 9091.
    pub admin_port: u16,
    /// `HOSTNAME`, which container runtimes set: the value of `servedBy`.
    pub host_name: String,
    /// `NODE`: the service is a node of a call graph.
    pub node: Option<Node>,
    /// The faults at the start: `DISCARD_QUOTA`, `REJECT`, `BLOCKS`, `SEQUENCE`, `SEED`, `DELAY_MAX` and the errors of
    /// `NODE`.
    pub fault: Fault,
    /// `DRAIN_SECONDS`, default 0: how long new connections are still accepted after shutdown was requested, because
    /// clients and proxies remove a pod from their endpoints later than the pod gets SIGTERM. The image sets 2.
    pub drain: Duration,
    /// `DEBUG=1`: also log health checks.
    pub debug: bool,
    /// Settings that are not supported; logged at the start.
    pub warnings: Vec<String>,
}

/// An environment variable whose value is not valid.
#[derive(Debug, Error)]
#[error("invalid {variable} `{value}`: {reason}")]
pub struct ConfigError {
    variable: &'static str,
    value: String,
    reason: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: Role::Service,
            service_port: 9090,
            admin_port: 9091,
            host_name: "localhost".to_owned(),
            node: None,
            fault: Fault::default(),
            drain: Duration::ZERO,
            debug: false,
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Returns the ports on which this configuration listens.
    pub fn ports(&self) -> Vec<u16> {
        match self.role {
            Role::Service => vec![self.service_port, self.admin_port],
            Role::Sender => vec![self.admin_port],
        }
    }

    /// Returns the configuration that these environment variables describe. Variables with an empty value and unknown
    /// variables are ignored.
    ///
    /// # Errors
    /// Returns an error if a value is not a number or is out of range.
    pub fn from_env(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut service_port = None;
        for (name, value) in pairs {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            match name.as_str() {
                "ROLE" => config.role = parse("ROLE", value)?,
                "SERVICE_PORT" => service_port = Some(parse("SERVICE_PORT", value)?),
                "ADMIN_PORT" => config.admin_port = parse("ADMIN_PORT", value)?,
                "HOSTNAME" => config.host_name = value.to_owned(),
                "DISCARD_QUOTA" => config.fault.quota = parse("DISCARD_QUOTA", value)?,
                "REJECT" => config.fault.reject = flag(value),
                "BLOCKS" => config.fault.blocks = flag(value),
                "SEED" => config.fault.seed = Some(parse("SEED", value)?),
                "SEQUENCE" => {
                    let statuses = value.split(',').map(|status| parse("SEQUENCE", status.trim()));
                    config.fault.sequence = statuses.collect::<Result<_, _>>()?;
                }
                "DELAY_MAX" => config.fault.delay_max = parse("DELAY_MAX", value)?,
                "DRAIN_SECONDS" => {
                    let seconds = parse("DRAIN_SECONDS", value)?;
                    config.drain = Duration::try_from_secs_f64(seconds)
                        .map_err(|cause| error("DRAIN_SECONDS", value, cause))?;
                }
                "NODE" => {
                    config.node = Some(Node::parse(value).map_err(|cause| error("NODE", value, cause))?);
                }
                "DEBUG" => config.debug = flag(value),
                name if UNSUPPORTED.contains(&name) && flag(value) => {
                    config.warnings.push(format!("{name}={value} is not supported and has no effect"));
                }
                _ => {}
            }
        }
        if let Some(node) = &config.node {
            config.service_port = NODE_PORT;
            // A node without errors can still fail by `DISCARD_QUOTA`.
            config.fault.errors = Some(node.errors).filter(|errors| *errors > 0.0);
        }
        config.service_port = service_port.unwrap_or(config.service_port);
        if let Err(invalid) = config.fault.check() {
            return Err(error(invalid.variable, &invalid.value, invalid.reason));
        }
        Ok(config)
    }
}

fn flag(value: &str) -> bool {
    matches!(value, "1" | "true")
}

fn parse<T: FromStr<Err: Display>>(variable: &'static str, value: &str) -> Result<T, ConfigError> {
    value.parse().map_err(|cause| error(variable, value, cause))
}

fn error(variable: &'static str, value: &str, reason: impl Display) -> ConfigError {
    let mut shown: String = value.chars().take(MAX_SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    ConfigError { variable, value: shown, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_env(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_defaults_are_ports_9090_and_9091_and_no_faults() {
        let config = read(&[("DISCARD_QUOTA", ""), ("PATH", "/bin")]).unwrap();
        assert_eq!((config.service_port, config.admin_port), (9090, 9091));
        assert_eq!(config.fault, Fault::default());
        assert!(config.warnings.is_empty());
    }

    #[test]
    fn the_variables_of_the_original_service_are_read() {
        let config =
            read(&[("DISCARD_QUOTA", "70"), ("REJECT", "1"), ("DELAY_MAX", "2"), ("SERVICE_PORT", "80")])
                .unwrap();
        assert_eq!(config.service_port, 80);
        assert_eq!(config.fault, Fault { quota: 70, reject: true, delay_max: 2.0, ..Fault::default() });
    }

    #[test]
    fn a_sender_listens_on_the_admin_port_only() {
        assert_eq!(read(&[("ROLE", "sender")]).unwrap().ports(), [9091]);
        assert_eq!(read(&[("ROLE", "service")]).unwrap().ports(), [9090, 9091]);
        assert!(read(&[("ROLE", "client")]).unwrap_err().to_string().starts_with("invalid ROLE `client`"));
    }

    #[test]
    fn a_sequence_is_a_list_of_statuses() {
        assert_eq!(read(&[("SEQUENCE", "500, 503,200")]).unwrap().fault.sequence, [500, 503, 200]);
    }

    #[test]
    fn an_invalid_value_is_an_error_that_names_the_variable() {
        for (name, value) in
            [("DISCARD_QUOTA", "101"), ("DISCARD_QUOTA", "most"), ("SEQUENCE", "500,20"), ("DELAY_MAX", "-1")]
        {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid {name} `")), "{error}");
        }
    }

    #[test]
    fn a_node_has_service_port_8080_and_its_errors_are_faults() {
        let node = r#"{"name":"a","errors":0.02}"#;
        let config = read(&[("NODE", node), ("DISCARD_QUOTA", "70"), ("BLOCKS", "1")]).unwrap();
        assert_eq!((config.service_port, config.fault.errors, config.fault.blocks), (8080, Some(0.02), true));
        let config = read(&[("SERVICE_PORT", "90"), ("NODE", r#"{"name":"a"}"#)]).unwrap();
        assert_eq!((config.service_port, config.fault.errors), (90, None));
    }

    #[test]
    fn an_invalid_node_is_an_error_with_the_reason_and_the_start_of_the_value() {
        let error =
            read(&[("NODE", &format!(r#"{{"name":"{}"}}"#, "x".repeat(100)))]).unwrap_err().to_string();
        let start = format!(r#"invalid NODE `{{"name":"{}…`: name is `x"#, "x".repeat(71));
        assert!(error.starts_with(&start), "{error}");
    }

    #[test]
    fn unsupported_variables_are_warnings() {
        let warnings = read(&[("HTTPS", "true"), ("TRACING", "0")]).unwrap().warnings;
        assert_eq!(warnings, ["HTTPS=true is not supported and has no effect"]);
    }
}
