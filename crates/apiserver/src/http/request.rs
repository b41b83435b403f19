//! A received request without its body.

use std::sync::Arc;

use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, Uri, request};
use hyper::upgrade::OnUpgrade;

use super::accept::{self, Form};
use super::query::Query;
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::pods::PodBackend;
use crate::selector::Selector;
use crate::state::ServerState;

/// Maximum characters of a field manager that is taken from the user agent, as in Kubernetes.
const MAX_MANAGER_LENGTH: usize = 128;

/// A request without its body.
pub(super) struct ApiRequest {
    pub(super) state: Arc<ServerState>,
    pub(super) method: Method,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    /// Handle for a protocol upgrade, if the connection supports it.
    pub(super) upgrade: Option<OnUpgrade>,
    /// Path and query as received.
    pub(super) uri: Uri,
}

impl ApiRequest {
    /// Returns the request of a message head.
    ///
    /// # Errors
    /// 400 for an invalid escape in the query.
    pub(super) fn new(state: Arc<ServerState>, mut parts: request::Parts) -> Result<Self> {
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let query = Query::parse(parts.uri.query().unwrap_or_default())?;
        Ok(Self { state, method: parts.method, query, headers: parts.headers, upgrade, uri: parts.uri })
    }

    /// Returns a header, or an empty string.
    pub(super) fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the field manager: the query parameter `fieldManager`, else the program name in the user agent.
    pub(super) fn manager(&self) -> String {
        match self.query.get("fieldManager") {
            "" => {
                let program = self.header(&USER_AGENT).split('/').next().unwrap_or_default();
                program.chars().take(MAX_MANAGER_LENGTH).collect()
            }
            manager => manager.to_owned(),
        }
    }

    /// Returns the label and field selectors of the query.
    ///
    /// # Errors
    /// 400 for an invalid selector.
    pub(super) fn selector(&self, kind: &Kind) -> Result<Selector> {
        Selector::parse(kind, self.query.get("labelSelector"), self.query.get("fieldSelector"))
    }

    /// Returns the form of objects that the client prefers. `is_list` is true for requests that return a list.
    ///
    /// # Errors
    /// 406 if the form does not match the response.
    pub(super) fn form(&self, is_list: bool) -> Result<Form> {
        accept::form(self.header(&ACCEPT), self.query.get("includeObject"), is_list)
    }

    /// Returns the backend for pods.
    ///
    /// # Errors
    /// 503 if the server has none.
    pub(super) fn pod_backend(&self) -> Result<Arc<dyn PodBackend>> {
        let error = || ApiError::new(503, "ServiceUnavailable", "no pod backend is configured");
        self.state.pods.clone().ok_or_else(error)
    }
}
