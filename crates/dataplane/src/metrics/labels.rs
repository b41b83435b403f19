//! Labels in text form, in Linkerd's order.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

/// `a="1",b="2"`, escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels(Arc<str>);

impl Labels {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns these labels and one more.
    pub(crate) fn with(&self, name: &str, value: impl Display) -> Self {
        let mut text = String::from(&*self.0);
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{name}=\"");
        for character in value.to_string().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
        Self(text.into())
    }

    /// Returns these labels and `target_addr`, `target_ip` and `target_port`.
    pub(crate) fn with_target(&self, addr: SocketAddr) -> Self {
        self.with("target_addr", addr).with("target_ip", addr.ip()).with("target_port", addr.port())
    }

    /// Returns these labels and `more`.
    pub(crate) fn and(&self, more: &Labels) -> Self {
        match (self.0.is_empty(), more.0.is_empty()) {
            (true, _) => more.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{},{}", self.0, more.0).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let labels = Labels::new().with("a", "x\"y\\z\n").with("b", 1);
        assert_eq!(labels.as_str(), r#"a="x\"y\\z\n",b="1""#);
    }
}
