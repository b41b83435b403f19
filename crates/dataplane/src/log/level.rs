//! The level of a log by Linkerd's annotation.

use tracing::level_filters::LevelFilter;

/// A level in `config.linkerd.io/proxy-log-level` is invalid.
#[derive(Debug, thiserror::Error)]
#[error("invalid log level `{0}`, expected `error`, `warn`, `info`, `debug`, `trace` or `off`")]
pub struct ParseLogLevelError(String);

/// Parses the value of `config.linkerd.io/proxy-log-level`: comma-separated directives `LEVEL` and `TARGET=LEVEL`.
///
/// Returns the level of the target `linkerd`, else the level without a target, else `ERROR`. Directives for other targets
/// and for fields (`[{…}]=off`) have no effect here.
///
/// # Errors
/// On the first invalid level.
pub fn parse_log_level(directives: &str) -> Result<LevelFilter, ParseLogLevelError> {
    let (mut general, mut linkerd) = (None, None);
    for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (target, level) = match directive.rsplit_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None => (None, directive),
        };
        let level = level.parse().map_err(|_| ParseLogLevelError(level.to_owned()))?;
        match target {
            None => general = Some(level),
            Some("linkerd") => linkerd = Some(level),
            Some(_) => {}
        }
    }
    Ok(linkerd.or(general).unwrap_or(LevelFilter::ERROR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_linkerd_precedes_the_general_level() {
        for (directives, level) in [
            ("debug", LevelFilter::DEBUG),
            ("warn,linkerd=info,hickory=error,[{headers}]=off,[{request}]=off", LevelFilter::INFO),
            ("linkerd=trace, warn", LevelFilter::TRACE),
            ("hickory=debug", LevelFilter::ERROR),
            ("off", LevelFilter::OFF),
            ("", LevelFilter::ERROR),
        ] {
            assert_eq!(parse_log_level(directives).unwrap(), level, "{directives}");
        }
        let error = parse_log_level("warn,linkerd=verbose").unwrap_err().to_string();
        assert!(error.contains("`verbose`"), "{error}");
    }
}
