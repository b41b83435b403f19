//! Query parameters.

use crate::error::{ApiError, Result};
use crate::options::{DeleteOptions, FieldValidation, Propagation, WriteOptions};

/// Decoded names and values in the order of the URL.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        });
        Ok(Self(pairs.collect::<Result<_>>()?))
    }

    /// Returns the first value of a parameter, or an empty string.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Returns all values of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// Returns whether a boolean parameter is present and not false.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.has(name) && !matches!(self.get(name), "false" | "0" | "False" | "F" | "f")
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
            }),
        }
    }

    /// Returns the parameter `resourceVersion`; an empty one is `None`.
    pub(super) fn resource_version(&self) -> Result<Option<u64>> {
        match self.get("resourceVersion") {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!(
                    "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
                ))
            }),
        }
    }

    pub(super) fn dry_run(&self) -> Result<bool> {
        match self.get("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(ApiError::bad_request(format!("Invalid value: \"{other}\": dryRun must be All"))),
        }
    }

    /// Returns the options of a write request by this field manager.
    pub(super) fn write_options(&self, manager: String) -> Result<WriteOptions> {
        let validation = match self.get("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                return Err(ApiError::bad_request(format!("Invalid value: \"{other}\": fieldValidation")));
            }
        };
        Ok(WriteOptions {
            dry_run: self.dry_run()?,
            manager: Some(manager),
            force: self.flag("force"),
            validation,
            strict_errors: Vec::new(),
        })
    }

    /// Returns the options of a delete request that the query contains.
    pub(super) fn delete_options(&self) -> Result<DeleteOptions> {
        let propagation = match self.get("propagationPolicy") {
            "" if self.flag("orphanDependents") => Some(Propagation::Orphan),
            "" => None,
            text => Some(Propagation::parse(text)?),
        };
        let grace =
            self.number("gracePeriodSeconds")?.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        Ok(DeleteOptions {
            dry_run: self.dry_run()?,
            grace_seconds: grace,
            propagation,
            ..DeleteOptions::default()
        })
    }
}

/// Decodes percent escapes.
pub(super) fn decode(text: &str) -> Result<String> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let bad = || ApiError::bad_request(format!("invalid URL escape in {text:?}"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(bad);
            bytes.push(u8::try_from(digit()? * 16 + digit()?).map_err(|_| bad())?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}
