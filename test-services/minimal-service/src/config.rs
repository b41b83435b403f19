//! What the environment says.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::fault::Fault;

/// Variables of efbar/minimal-service that mean a thing this service does not do.
const NOT_HERE: [&str; 3] = ["HTTPS", "TRACING", "CONNECT"];

/// The settings of one service.
#[derive(Clone, Debug)]
pub struct Config {
    /// `SERVICE_PORT`, default 9090.
    pub service_port: u16,
    /// `ADMIN_PORT`, default 9091.
    pub admin_port: u16,
    /// `HOSTNAME`, as container runtimes set it: what `servedBy` says.
    pub host_name: String,
    /// How it fails at the start: `DISCARD_QUOTA`, `REJECT`, `SEQUENCE`, `SEED`, `DELAY_MAX`.
    pub fault: Fault,
    /// `DRAIN_SECONDS`, default 0: how long after the request to stop new connections are still served, because those
    /// who route to a pod learn of its end later than the pod does. The image sets 2.
    pub linger: Duration,
    /// `DEBUG=1`: health checks are logged, too.
    pub debug: bool,
    /// What was asked for and is not done; logged at the start.
    pub warnings: Vec<String>,
}

/// A variable that makes no sense.
#[derive(Debug, Error)]
#[error("read {variable}=`{value}`: {reason}")]
pub struct ConfigError {
    variable: &'static str,
    value: String,
    reason: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service_port: 9090,
            admin_port: 9091,
            host_name: "localhost".to_owned(),
            fault: Fault::default(),
            linger: Duration::ZERO,
            debug: false,
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the variables it knows out of an environment; empty values count as absent, others are passed over.
    ///
    /// # Errors
    /// When a value is no number, or one out of its range.
    pub fn from_env(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for (name, value) in pairs {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            match name.as_str() {
                "SERVICE_PORT" => config.service_port = parse("SERVICE_PORT", value)?,
                "ADMIN_PORT" => config.admin_port = parse("ADMIN_PORT", value)?,
                "HOSTNAME" => config.host_name = value.to_owned(),
                "DISCARD_QUOTA" => config.fault.quota = parse("DISCARD_QUOTA", value)?,
                "REJECT" => config.fault.reject = flag(value),
                "SEED" => config.fault.seed = Some(parse("SEED", value)?),
                "SEQUENCE" => {
                    let statuses = value.split(',').map(|status| parse("SEQUENCE", status.trim()));
                    config.fault.sequence = statuses.collect::<Result<_, _>>()?;
                }
                "DELAY_MAX" => config.fault.delay_max = parse("DELAY_MAX", value)?,
                "DRAIN_SECONDS" => {
                    let seconds = parse("DRAIN_SECONDS", value)?;
                    config.linger = Duration::try_from_secs_f64(seconds)
                        .map_err(|error| refuse("DRAIN_SECONDS", value, error))?;
                }
                "DEBUG" => config.debug = flag(value),
                name if NOT_HERE.contains(&name) && flag(value) => {
                    config.warnings.push(format!("{name}={value} is not supported here and does nothing"));
                }
                _ => {}
            }
        }
        if let Err(wrong) = config.fault.check() {
            return Err(refuse(wrong.variable, &wrong.value, wrong.reason));
        }
        Ok(config)
    }
}

fn flag(value: &str) -> bool {
    matches!(value, "1" | "true")
}

fn parse<T: FromStr<Err: Display>>(variable: &'static str, value: &str) -> Result<T, ConfigError> {
    value.parse().map_err(|error| refuse(variable, value, error))
}

fn refuse(variable: &'static str, value: &str, reason: impl Display) -> ConfigError {
    ConfigError { variable, value: value.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_env(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn an_empty_environment_serves_on_9090_and_never_fails() {
        let config = read(&[("DISCARD_QUOTA", ""), ("PATH", "/bin")]).unwrap();
        assert_eq!((config.service_port, config.admin_port), (9090, 9091));
        assert_eq!(config.fault, Fault::default());
        assert!(config.warnings.is_empty());
    }

    #[test]
    fn the_seeds_variables_are_read() {
        let config =
            read(&[("DISCARD_QUOTA", "70"), ("REJECT", "1"), ("DELAY_MAX", "2"), ("SERVICE_PORT", "80")])
                .unwrap();
        assert_eq!(config.service_port, 80);
        assert_eq!(config.fault, Fault { quota: 70, reject: true, delay_max: 2.0, ..Fault::default() });
    }

    #[test]
    fn a_script_is_a_list_of_statuses() {
        assert_eq!(read(&[("SEQUENCE", "500, 503,200")]).unwrap().fault.sequence, [500, 503, 200]);
    }

    #[test]
    fn nonsense_is_refused_by_the_variables_name() {
        for (name, value) in
            [("DISCARD_QUOTA", "101"), ("DISCARD_QUOTA", "most"), ("SEQUENCE", "500,20"), ("DELAY_MAX", "-1")]
        {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("read {name}=`")), "{error}");
        }
    }

    #[test]
    fn what_is_not_spoken_is_said() {
        let warnings = read(&[("HTTPS", "true"), ("TRACING", "0")]).unwrap().warnings;
        assert_eq!(warnings, ["HTTPS=true is not supported here and does nothing"]);
    }
}
