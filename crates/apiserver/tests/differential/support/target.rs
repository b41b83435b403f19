//! A server under test: this crate in-process, or kube-apiserver.

use http::{Method, Request};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use meshy_apiserver::{Options, Server};

use super::step::Step;

/// A response of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// A server under test.
pub(crate) struct Target(kube::Client);

impl Target {
    /// Returns a new in-process server of this crate.
    pub(crate) fn in_process() -> Self {
        Self(kube::Client::new(Server::new(Options::default()).service(), "default"))
    }

    /// Returns the kube-apiserver of a kubeconfig.
    pub(crate) async fn testbed(kubeconfig: &str) -> Self {
        let file = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config =
            kube::Config::from_custom_kubeconfig(file, &Default::default()).await.expect("a context");
        Self(kube::Client::try_from(config).expect("a client"))
    }

    /// Creates the namespace of a sequence and deletes its objects.
    pub(crate) async fn prepare(&self, name: &str) {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(name)}});
        let step = Step::new(Method::POST, "/api/v1/namespaces", namespace);
        let created = self.send(name, &step).await;
        assert!(matches!(created.status, 201 | 409), "{created:?}");
        self.clear(name).await;
    }

    /// Deletes the objects of a sequence.
    pub(crate) async fn clean_up(&self, name: &str) {
        self.clear(name).await;
    }

    async fn clear(&self, name: &str) {
        for resource in super::step::RESOURCES {
            let list = self.send(name, &Step::get(resource)).await;
            for object in list.body["items"].as_array().into_iter().flatten() {
                let path = format!("{resource}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
                if object["metadata"]["finalizers"].is_array() {
                    let patch = json!({"metadata": {"finalizers": null}});
                    let mut remove_finalizers = Step::new(Method::PATCH, &path, patch);
                    remove_finalizers.content = "application/merge-patch+json";
                    self.send(name, &remove_finalizers).await;
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

    /// Sends the request of a step.
    pub(crate) async fn send(&self, name: &str, step: &Step) -> Response {
        let path = step.path.replace("{ns}", &namespace(name));
        let body = match &step.body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            value => value.to_string().replace("{ns}", &namespace(name)).into_bytes(),
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
        let response = self.0.send(request).await.expect("a response");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a complete response").to_bytes();
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
        Response { status: parts.status.as_u16(), body, warnings: warnings.collect() }
    }
}

/// Returns the namespace of a sequence.
fn namespace(name: &str) -> String {
    format!("differ-{name}")
}
