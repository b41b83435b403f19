//! The filters of rules and backends.

use std::str::FromStr;

use http::{HeaderName, HeaderValue, StatusCode};
use meshy_dataplane::policy::{Filter, HeaderModifier, PathRewrite, Redirect};
use serde_json::Value;

use super::RouteError;

/// Translates filters.
///
/// # Errors
/// A filter is of an unsupported type.
pub(super) fn translate(filters: &[Value]) -> Result<Vec<Filter>, RouteError> {
    let filter = |filter: &Value| match text(filter, "/type") {
        "RequestHeaderModifier" => Ok(Filter::RequestHeaders(modifier(&filter["requestHeaderModifier"]))),
        "ResponseHeaderModifier" => Ok(Filter::ResponseHeaders(modifier(&filter["responseHeaderModifier"]))),
        "RequestRedirect" => Ok(Filter::Redirect(redirect(&filter["requestRedirect"]))),
        other => Err(RouteError::Filter(other.to_owned())),
    };
    filters.iter().map(filter).collect()
}

fn modifier(found: &Value) -> HeaderModifier {
    let header = |header: &Value| {
        let name: HeaderName = parse(text(header, "/name"))?;
        let value: HeaderValue = parse(text(header, "/value"))?;
        Some((name, value))
    };
    HeaderModifier {
        set: list(found, "/set").iter().filter_map(header).collect(),
        add: list(found, "/add").iter().filter_map(header).collect(),
        remove: list(found, "/remove").iter().filter_map(|name| parse(name.as_str()?)).collect(),
    }
}

fn redirect(found: &Value) -> Redirect {
    let non_empty = |pointer: &str| {
        let text = text(found, pointer);
        (!text.is_empty()).then(|| text.to_owned())
    };
    let number = |pointer: &str| {
        found.pointer(pointer).and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok())
    };
    Redirect {
        scheme: non_empty("/scheme"),
        hostname: non_empty("/hostname"),
        port: number("/port"),
        path: match text(found, "/path/type") {
            // An empty replacement removes the prefix.
            "ReplacePrefixMatch" => {
                Some(PathRewrite::Prefix(text(found, "/path/replacePrefixMatch").to_owned()))
            }
            _ => non_empty("/path/replaceFullPath").map(PathRewrite::Full),
        },
        status: number("/statusCode").and_then(|code| StatusCode::from_u16(code).ok()),
    }
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
