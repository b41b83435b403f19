//! A client whose requests are registered as activities while a response is waited for.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use tower::{BoxError, service_fn};

use meshy_base::activity::{self, Activity, Kind};

/// Returns a client that does what `plain` does. A request is an activity until its response is complete; a stream (a watch,
/// a followed log, an upgraded connection) until its response begins.
pub(super) fn client(plain: Client, context: &str) -> Client {
    let namespace = plain.default_namespace().to_owned();
    let server: Arc<str> = format!("the API server of context `{context}`").into();
    let service = service_fn(move |request: Request<Body>| {
        let (plain, server) = (plain.clone(), server.clone());
        async move {
            let what = format!("{} {}", request.method(), request.uri().path());
            let mut activity =
                Some(activity::begin(Kind::Server, format!("waiting for {server} to respond to {what}")));
            let stream = is_stream(request.uri().query());
            let response = plain.send(request).await.map_err(BoxError::from)?;
            if stream || response.status() == StatusCode::SWITCHING_PROTOCOLS {
                activity = None;
            }
            Ok::<_, BoxError>(until_complete(response, activity, &format!("{server} to {what}")))
        }
    });
    Client::new(service, namespace)
}

fn is_stream(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| matches!(pair, "watch=true" | "watch=1" | "follow=true" | "follow=1"))
}

/// Keeps the activity as long as the body, which is dropped when it was read.
fn until_complete(
    response: Response<Body>,
    activity: Option<Activity>,
    what: &str,
) -> Response<impl http_body::Body<Data = bytes::Bytes, Error = kube::Error> + use<>> {
    if let Some(activity) = &activity {
        activity.update(format!("waiting for the rest of the response of {what}"));
    }
    response.map(|body| {
        body.map_frame(move |frame| {
            let _ = &activity;
            frame
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_and_a_followed_log_are_streams() {
        assert!(is_stream(Some("labelSelector=a&watch=true")) && is_stream(Some("follow=true")));
        assert!(!is_stream(None) && !is_stream(Some("limit=5&watch=false")));
    }
}
