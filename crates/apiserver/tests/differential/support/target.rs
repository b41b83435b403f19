//! A server under test: this one in the process, or the real one.

use http::{Method, Request};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use meshy_apiserver::{Options, Server};

use super::script::Step;

/// What a server said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// Warning headers.
    pub(crate) warnings: Vec<String>,
}

/// A server to send requests to.
pub(crate) struct Target(kube::Client);

impl Target {
    /// A fresh server of this crate.
    pub(crate) fn here() -> Self {
        Self(kube::Client::new(Server::new(Options::default()).service(), "default"))
    }

    /// A real server.
    pub(crate) async fn testbed(kubeconfig: &str) -> Self {
        let file = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config =
            kube::Config::from_custom_kubeconfig(file, &Default::default()).await.expect("a context");
        Self(kube::Client::try_from(config).expect("a client"))
    }

    /// Makes the namespace of a sequence, anew.
    pub(crate) async fn begin(&self, name: &str) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space(name)}});
        let step = Step::new(Method::POST, "/api/v1/namespaces", namespace);
        let made = self.send(name, &step).await;
        assert!(matches!(made.status, 201 | 409), "{made:?}");
        self.clear(name).await;
    }

    /// Clears up, so that the sequence can run again.
    pub(crate) async fn end(&self, name: &str) {
        self.clear(name).await;
    }

    async fn clear(&self, name: &str) {
        for resource in super::script::RESOURCES {
            let list = self.send(name, &Step::get(resource)).await;
            for object in list.body["items"].as_array().into_iter().flatten() {
                let path = format!("{resource}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
                if object["metadata"]["finalizers"].is_array() {
                    let patch = json!({"metadata": {"finalizers": null}});
                    let mut free = Step::new(Method::PATCH, &path, patch);
                    free.content = "application/merge-patch+json";
                    self.send(name, &free).await;
                }
                self.send(
                    name,
                    &Step::new(
                        Method::DELETE,
                        &format!("{path}?gracePeriodSeconds=0&propagationPolicy=Background"),
                        Value::Null,
                    ),
                )
                .await;
            }
        }
    }

    /// Sends one request.
    pub(crate) async fn send(&self, name: &str, step: &Step) -> Answer {
        let path = step.path.replace("{ns}", &space(name));
        let body = match &step.body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            value => value.to_string().replace("{ns}", &space(name)).into_bytes(),
        };
        let mut request =
            Request::builder().method(step.method.clone()).uri(path).header("user-agent", "differ/1");
        if !body.is_empty() {
            request = request.header("content-type", step.content);
        }
        if !step.accept.is_empty() {
            request = request.header("accept", step.accept);
        }
        let request = request.body(kube::client::Body::from(body)).expect("a request");
        let response = self.0.send(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole answer").to_bytes();
        let lines: Vec<Value> =
            serde_json::Deserializer::from_slice(&bytes).into_iter().map_while(Result::ok).collect();
        let body = if step.path.contains("watch=") {
            Value::Array(lines)
        } else {
            lines.into_iter().next().unwrap_or_default()
        };
        let warnings = parts
            .headers
            .get_all("warning")
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned));
        Answer { status: parts.status.as_u16(), body, warnings: warnings.collect() }
    }
}

/// The namespace of a sequence.
fn space(name: &str) -> String {
    format!("differ-{name}")
}
