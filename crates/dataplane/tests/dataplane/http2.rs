//! HTTP/2 over a pair of proxies.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::counters::retry_all;
use crate::support::{Lab, Memory, WEB, endpoint, serve_raw};

const POD: &str = "10.244.1.1:9090";

/// An application that responds with the body and the trailers of the request.
fn echoing(app: &Memory) {
    serve_raw(app, POD.parse().unwrap(), |io| async move {
        let service = service_fn(|request: Request<Incoming>| async move {
            assert_eq!(request.version(), Version::HTTP_2);
            let body = request.into_body().collect().await.expect("a whole body");
            let trailers = body.trailers().cloned().unwrap_or_default();
            let body = Full::new(body.to_bytes()).with_trailers(ready(Some(Ok(trailers))));
            Ok::<_, Infallible>(Response::new(body))
        });
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(io), service).await;
    });
}

#[tokio::test]
async fn http2_trailers_pass_a_pair_both_ways() {
    // With retries, the proxy keeps the body and its trailers.
    for retried in [false, true] {
        let (lab, app) = (Lab::default(), Memory::default());
        echoing(&app);
        lab.mesh(&lab.proxy(&app, |_| {}), POD.parse().unwrap());
        let web = lab.service("web", WEB, &[endpoint(POD)]);
        if retried {
            web.profile(retry_all());
        }
        let io = TokioIo::new(lab.client().dial(WEB));
        let (mut sender, driver) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(driver);
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
        let body = Full::new(Bytes::from_static(b"hello")).with_trailers(ready(Some(Ok(trailers))));
        let request = Request::post("http://web:9090/a").version(Version::HTTP_2).body(body).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().expect("trailers")["x-sum"], "7", "retried: {retried}");
        assert_eq!(&body.to_bytes()[..], b"hello");
    }
}
