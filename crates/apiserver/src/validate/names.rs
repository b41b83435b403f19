//! Validation of names.

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
     and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
     character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
     '[a-z]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
     must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
     start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation \
     is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const DATA_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
     'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// Returns what is invalid in an RFC 1123 label: at most 63 lower-case letters, digits and dashes.
pub(super) fn label(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !is_label(name) {
        found.push(LABEL.to_owned());
    }
    if name.len() > 63 {
        found.push("must be no more than 63 bytes".to_owned());
    }
    found
}

/// Returns what is invalid in an RFC 1035 label: an RFC 1123 label that starts with a letter.
pub(super) fn dns_1035(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !is_label(name) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        found.push(DNS_1035.to_owned());
    }
    if name.len() > 63 {
        found.push("must be no more than 63 bytes".to_owned());
    }
    found
}

/// Returns what is invalid in an RFC 1123 subdomain: labels joined by dots.
pub(super) fn subdomain(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    if name.len() > 253 {
        found.push("must be no more than 253 bytes".to_owned());
    }
    if !name.split('.').all(is_label) {
        found.push(SUBDOMAIN.to_owned());
    }
    found
}

/// Returns what is invalid in a key of a label or annotation.
pub(super) fn qualified(key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((prefix, name)) => {
            if prefix.is_empty() {
                found.push("prefix part must be non-empty".to_owned());
            } else {
                found.extend(subdomain(prefix).into_iter().map(|why| format!("prefix part {why}")));
            }
            name
        }
    };
    if name.is_empty() {
        found.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        found.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_qualified_name(name) {
        found.push(KEY.to_owned());
    }
    found
}

/// Returns what is invalid in a label value.
pub(super) fn label_value(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if value.len() > 63 {
        found.push("must be no more than 63 bytes".to_owned());
    }
    if !value.is_empty() && !is_qualified_name(value) {
        found.push(VALUE.to_owned());
    }
    found
}

/// Returns what is invalid in a data key of a ConfigMap or Secret.
pub(super) fn data_key(key: &str) -> Vec<String> {
    let is_valid =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    match (is_valid, key) {
        (true, "." | "..") => vec![format!("must not be '{key}'")],
        (true, _) => Vec::new(),
        (false, _) => vec![DATA_KEY.to_owned()],
    }
}

fn is_label(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    edge(name.bytes().next())
        && edge(name.bytes().last())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_qualified_name(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    edge(name.bytes().next())
        && edge(name.bytes().last())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
