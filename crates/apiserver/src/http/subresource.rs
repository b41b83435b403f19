//! Subresources of pods: logs, proxy, port-forward, eviction.

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::path::ResourcePath;
use super::{ApiRequest, Body, body};
use crate::error::{ApiError, Result};
use crate::options::DeleteOptions;
use crate::pods::{LogOptions, forward, proxy};
use crate::store::Key;

pub(super) async fn serve<B>(request: ApiRequest, path: ResourcePath, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    match path.subresource.as_str() {
        "proxy" => return proxy::serve(request, path, body).await,
        "portforward" => return forward::serve(request, &path),
        "eviction" if request.method == Method::POST => return evict(&request, &path, body).await,
        "log" if request.method == Method::GET => {}
        "log" => return Err(ApiError::method_not_allowed()),
        other => {
            let message = format!("the embedded cluster does not serve pods/{other}");
            return Err(ApiError::new(501, "NotImplemented", message));
        }
    }
    let key = Key::new(&path.namespace, &path.name);
    if request.core.store.collection("pods").get(&key).is_none() {
        return Err(ApiError::not_found("pods", &path.name));
    }
    let pods = request
        .core
        .pods()
        .ok_or_else(|| ApiError::new(503, "ServiceUnavailable", "no pod backend is configured"))?;
    let options = LogOptions {
        container: Some(request.query.get("container").to_owned()).filter(|name| !name.is_empty()),
        follow: request.query.flag("follow"),
        previous: request.query.flag("previous"),
        tail_lines: request.query.number("tailLines")?,
        since_seconds: request.query.number("sinceSeconds")?,
        limit_bytes: request.query.number("limitBytes")?,
        timestamps: request.query.flag("timestamps"),
    };
    let stream = pods.logs(&path.namespace, &path.name, options).await?;
    let mut response =
        Response::new(StreamBody::new(stream.map(|chunk| chunk.map(Frame::data))).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Evicts a pod: deletes it, because disruption budgets are not supported.
async fn evict<B>(request: &ApiRequest, path: &ResourcePath, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    body::collect(body).await?;
    let options = DeleteOptions { dry_run: request.query.dry_run()?, ..DeleteOptions::default() };
    request.core.delete(&path.kind, &Key::new(&path.namespace, &path.name), &options).await?;
    let status =
        serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    Ok(super::json_response(201, &status))
}
