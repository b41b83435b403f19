//! Trailers of gRPC responses.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meshy_dataplane::policy::{HttpRoute, Policy, Retry, RouteKind, RouteRule};

use super::super::support::{Lab, Server, WEB, endpoint, serve_raw};
use super::{POD, connections_are_closed, run};

/// Any lines as trailers (`NAME:VALUE`) of a gRPC response. The first byte chooses how many frames of data come before them,
/// and from 3 on puts them into the head.
pub(crate) fn grpc_trailers(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let (frames, in_head) = (usize::from(first % 3), first >= 3);
    let mut sent = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(32) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..at]), HeaderValue::from_bytes(&line[at + 1..]));
        // HTTP/2 has no headers of a connection, and hyper's server frames the body itself.
        let framing = ["connection", "content-length", "transfer-encoding", "upgrade", "te", "keep-alive"];
        if let (Ok(name), Ok(value)) = (name, value)
            && !framing.contains(&name.as_str())
            && name != "proxy-connection"
        {
            sent.append(name, value);
        }
    }
    run(async {
        let lab = Lab::default();
        let count = Server::default();
        serve_grpc(&lab, count.clone(), sent.clone(), frames, in_head);
        let rule = RouteRule {
            retry: Some(Retry { grpc: vec![14], limit: 2, ..Retry::default() }),
            ..RouteRule::default()
        };
        let route = HttpRoute { kind: RouteKind::Grpc, rules: vec![rule], ..HttpRoute::default() };
        lab.service("web", WEB, &[endpoint(POD)]).policy(Policy { routes: vec![route], ..Policy::default() });
        let client = lab.client();
        let request = Request::post("http://web:9090/pkg.Svc/Method").version(Version::HTTP_2);
        let request = request.header("content-type", "application/grpc").body(Bytes::new()).unwrap();
        let reply = client.send_to(WEB, request).await.expect("a response");
        assert_eq!((reply.status, reply.body.len()), (200, if in_head { 0 } else { frames }));
        let received =
            if in_head { reply.headers.clone() } else { reply.trailers.clone().unwrap_or_default() };
        for name in sent.keys().filter(|name| !name.as_str().starts_with("l5d-")) {
            let all = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
            // The head has other headers, too.
            let expected = all(&sent);
            assert!(all(&received).ends_with(&expected) || in_head, "{name}: {received:?}");
        }
        // The first status decides; a response that streams is passed on before its status is known.
        let status = sent.get("grpc-status").and_then(|value| value.to_str().ok()?.parse::<u16>().ok());
        let listed = status == Some(14) && (in_head || frames < 2);
        assert_eq!(count.count(), if listed { 3 } else { 1 }, "{sent:?} after {frames} frames");
        connections_are_closed(&client).await;
    });
}

/// Serves gRPC responses with these trailers, or with these headers and no body.
fn serve_grpc(lab: &Lab, count: Server, sent: HeaderMap, frames: usize, in_head: bool) {
    serve_raw(&lab.wire, POD.parse().unwrap(), move |io| {
        let (count, sent) = (count.clone(), sent.clone());
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let (count, sent) = (count.clone(), sent.clone());
            async move {
                count.add();
                let _ = request.into_body().collect().await;
                let mut response = Response::builder().header("content-type", "application/grpc");
                if in_head && let Some(headers) = response.headers_mut() {
                    headers.extend(sent.clone());
                }
                let frames = if in_head { 0 } else { frames };
                let mut all: Vec<_> =
                    (0..frames).map(|_| Ok(Frame::data(Bytes::from_static(b"x")))).collect();
                if !in_head {
                    all.push(Ok(Frame::trailers(sent)));
                }
                let body = Frames(all.into());
                Ok::<_, Infallible>(response.body(body).unwrap())
            }
        });
        async move {
            let executor = TokioExecutor::new();
            let builder = hyper::server::conn::http2::Builder::new(executor);
            let _ = builder.serve_connection(TokioIo::new(io), service).await;
        }
    });
}

/// A body of given frames.
struct Frames(VecDeque<Result<Frame<Bytes>, Infallible>>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front())
    }
}
