//! Parts of pods that only where they run can answer.

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::path::Target;
use super::{Body, Call, body};
use crate::error::{ApiError, Result};
use crate::options::DeleteOptions;
use crate::pods::{LogOptions, forward, proxy};
use crate::store::Key;

pub(super) async fn serve<B>(call: Call, target: Target, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    match target.subresource.as_str() {
        "proxy" => return proxy::serve(call, target, body).await,
        "portforward" => return forward::serve(call, &target),
        "eviction" if call.method == Method::POST => return evict(&call, &target, body).await,
        "log" if call.method == Method::GET => {}
        "log" => return Err(ApiError::method_not_allowed()),
        other => {
            let message = format!("the embedded cluster does not serve pods/{other}");
            return Err(ApiError::new(501, "NotImplemented", message));
        }
    }
    let key = Key::new(&target.namespace, &target.name);
    if call.core.store.collection("pods").get(&key).is_none() {
        return Err(ApiError::not_found("pods", &target.name));
    }
    let pods =
        call.core.pods().ok_or_else(|| ApiError::new(503, "ServiceUnavailable", "no node runs pods here"))?;
    let options = LogOptions {
        container: Some(call.query.get("container").to_owned()).filter(|name| !name.is_empty()),
        follow: call.query.flag("follow"),
        previous: call.query.flag("previous"),
        tail_lines: call.query.number("tailLines")?,
        since_seconds: call.query.number("sinceSeconds")?,
        limit_bytes: call.query.number("limitBytes")?,
        timestamps: call.query.flag("timestamps"),
    };
    let stream = pods.logs(&target.namespace, &target.name, options).await?;
    let mut response =
        Response::new(StreamBody::new(stream.map(|chunk| chunk.map(Frame::data))).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// An eviction is a deletion here: nothing holds budgets of disruption.
async fn evict<B>(call: &Call, target: &Target, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    body::collect(body).await?;
    let options = DeleteOptions { dry_run: call.query.dry_run()?, ..DeleteOptions::default() };
    call.core.delete(&target.kind, &Key::new(&target.namespace, &target.name), &options).await?;
    let status =
        serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    Ok(super::answer(201, &status))
}
