//! Subresources that are actions: logs, eviction, port-forward and proxy of pods.

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::path::ResourcePath;
use super::request::ApiRequest;
use super::response::{self, Body};
use super::{body, delete, port_forward, proxy};
use crate::error::{ApiError, Result};
use crate::pods::LogOptions;
use crate::schema::builtin;
use crate::store::Key;

/// Responds to a request for an action.
///
/// # Errors
/// 501 for actions that are not implemented.
pub(super) async fn respond<B>(request: ApiRequest, path: ResourcePath, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    match path.subresource.as_str() {
        "proxy" => proxy::proxy(request, path, body).await,
        "portforward" => port_forward::port_forward(request, &path),
        "eviction" if request.method == Method::POST => {
            evict(&request, &path, &body::collect(body).await?).await
        }
        "log" if request.method == Method::GET => logs(&request, &path).await,
        "log" => Err(ApiError::method_not_allowed()),
        other => {
            let message = format!("the embedded cluster does not serve {}/{other}", path.kind.plural);
            Err(ApiError::new(501, "NotImplemented", message))
        }
    }
}

async fn logs(request: &ApiRequest, path: &ResourcePath) -> Result<Response<Body>> {
    let key = Key::new(&path.namespace, &path.name);
    if request.state.store.collection("pods").get(&key).is_none() {
        return Err(ApiError::not_found("pods", &path.name));
    }
    let query = &request.query;
    let options = LogOptions {
        container: Some(query.get("container").to_owned()).filter(|name| !name.is_empty()),
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        tail_lines: query.number("tailLines")?,
        since_seconds: query.number("sinceSeconds")?,
        limit_bytes: query.number("limitBytes")?,
        timestamps: query.flag("timestamps"),
    };
    let stream = request.pod_backend()?.logs(&path.namespace, &path.name, options).await?;
    let frames = stream.map(|chunk| chunk.map(Frame::data));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Evicts a pod: deletes it, because disruption budgets are not supported.
async fn evict(request: &ApiRequest, path: &ResourcePath, bytes: &Bytes) -> Result<Response<Body>> {
    let ty = builtin("policy.v1.Eviction");
    let eviction = body::object(&request.headers, bytes, "Eviction", Some(&ty))?;
    let name = eviction["metadata"]["name"].as_str().unwrap_or_default();
    if !name.is_empty() && name != path.name {
        return Err(ApiError::bad_request(format!(
            "name in URL does not match name in Eviction object: {name}"
        )));
    }
    let mut options = request.query.delete_options()?;
    delete::add_options(&mut options, &eviction["deleteOptions"])?;
    let key = Key::new(&path.namespace, &path.name);
    request.state.writer().delete(&path.kind, &key, &options).await?;
    let mut status = response::success_status();
    status["code"] = 201.into();
    Ok(response::json(201, &status))
}
