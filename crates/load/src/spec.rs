//! Targets as data: in a file of targets, and in the plan of a sender.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::target::{Protocol, Target};
use super::targets::Targets;

/// The largest body of a request.
pub const MOST_BODY: usize = 256 * 1024;

/// A target of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetSpec {
    /// Where requests are sent; `grpc://HOST[:PORT]/SERVICE/METHOD` is a unary gRPC call whose body is the message.
    pub url: String,
    /// The method; default `GET`, with a body `POST`. A gRPC call is always a `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Headers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, for one that is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// A file with the body, relative to the file of targets. A plan has the body itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_file: Option<String>,
    /// The share of the requests, relative to the weights of the other targets; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Send HTTP/2; without TLS by prior knowledge.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http2: bool,
    /// The outcome is the status in the body of the response, as `/bounce` of the test service has it; default for `/bounce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_from_body: Option<bool>,
}

impl TargetSpec {
    /// Replaces `bodyFile` by the content that `read` returns for it.
    ///
    /// # Errors
    /// Returns the error of `read`, or an error if the body is too large.
    pub fn with_body(mut self, read: impl FnOnce(&str) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<Self> {
        let Some(file) = self.body_file.take() else { return Ok(self) };
        ensure!(self.body.is_none() && self.body_base64.is_none(), "target `{}` has two bodies", self.url);
        let bytes = read(&file).with_context(|| format!("cannot read body file `{file}`"))?;
        self.set_body(bytes);
        Ok(self)
    }

    /// Sets the body.
    pub fn set_body(&mut self, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) => self.body = Some(text),
            Err(error) => self.body_base64 = Some(STANDARD.encode(error.as_bytes())),
        }
    }

    /// Returns the target.
    ///
    /// # Errors
    /// Returns an error that names what is not valid.
    pub fn target(&self) -> anyhow::Result<Target> {
        let mut target = Target::named(&self.url)?;
        let body = match (&self.body, &self.body_base64) {
            (Some(_), Some(_)) => anyhow::bail!("target `{}` has two bodies", self.url),
            (Some(text), None) => Some(text.clone().into_bytes()),
            (None, Some(text)) => Some(STANDARD.decode(text).context("invalid `bodyBase64`")?),
            (None, None) => None,
        };
        if let Some(body) = body {
            ensure!(body.len() <= MOST_BODY, "a body of {} bytes, the most is {MOST_BODY}", body.len());
            if target.grpc {
                target = target.into_grpc(&body);
            } else {
                target.method = http::Method::POST;
                target.body = body.into();
            }
        }
        if let Some(method) = &self.method {
            target.method = method.parse().with_context(|| format!("invalid method `{method}`"))?;
            ensure!(
                !target.grpc || target.method == http::Method::POST,
                "method `{method}` for the gRPC call `{}`, which is always a POST",
                self.url
            );
        }
        for (name, value) in &self.headers {
            target.header(&format!("{name}: {value}"))?;
        }
        if self.http2 {
            target.protocol = Protocol::Http2;
        }
        target.bounce = self.status_from_body.unwrap_or(target.bounce);
        Ok(target)
    }

    /// Returns the targets of a load.
    ///
    /// # Errors
    /// Returns an error that names what is not valid.
    pub fn targets(all: &[Self]) -> anyhow::Result<Targets> {
        let each = all.iter().map(|spec| Ok((spec.target()?, spec.weight.unwrap_or(1))));
        Targets::new(each.collect::<anyhow::Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> anyhow::Result<TargetSpec> {
        Ok(serde_json::from_str(text)?)
    }

    #[test]
    fn a_target_has_the_method_headers_and_body_of_its_description() {
        let spec = spec(
            r#"{"url":"http://cart.shop:8080/add","headers":{"x-user":"a"},"body":"{}","weight":3,"http2":true}"#,
        );
        let target = spec.unwrap().target().unwrap();
        assert_eq!((target.method.as_str(), &target.body[..]), ("POST", &b"{}"[..]));
        assert_eq!((target.headers["x-user"].to_str().unwrap(), target.protocol), ("a", Protocol::Http2));
    }

    #[test]
    fn the_body_of_a_grpc_call_is_its_message() {
        let target =
            spec(r#"{"url":"grpc://cart.shop/a.B/C","bodyBase64":"CgJoaQ=="}"#).unwrap().target().unwrap();
        assert_eq!((target.method.as_str(), &target.body[..]), ("POST", &b"\0\0\0\0\x04\x0a\x02hi"[..]));
    }

    #[test]
    fn a_body_from_a_file_may_be_any_bytes() {
        for bytes in [b"text".to_vec(), vec![0xff, 0, 1]] {
            let spec = spec(r#"{"url":"http://x/","bodyFile":"order.json"}"#).unwrap();
            let spec = spec.with_body(|file| {
                assert_eq!(file, "order.json");
                Ok(bytes.clone())
            });
            assert_eq!(spec.unwrap().target().unwrap().body, bytes);
        }
    }

    #[test]
    fn descriptions_that_are_not_valid_are_errors() {
        for wrong in [
            r#"{"url":"http://x/","body":"a","bodyBase64":"YQ=="}"#,
            r#"{"url":"http://x/","bodyBase64":"%"}"#,
            r#"{"url":"http://x/","method":"A B"}"#,
            r#"{"url":"http://x/","headers":{"a b":"c"}}"#,
            r#"{"url":"x"}"#,
            r#"{"url":"http://x/","speed":1}"#,
            r#"{"url":"grpc://x/a.B/C","method":"GET"}"#,
        ] {
            assert!(spec(wrong).and_then(|spec| spec.target()).is_err(), "{wrong}");
        }
    }
}
