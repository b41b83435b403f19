//! The retry budget on the real clock: a service that fails 70 % of its requests, at four request rates for 30 s, through a
//! proxy with the default budget. Prints each success rate, its expected range and the rate of a real Linkerd.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use meshy_dataplane::profile::{Profile, RequestMatch, Route};
use meshy_dataplane::{Destination, Discovery, Endpoint, Proxy, ProxyConfig, Target};
use meshy_net::{BoxFuture, Network, Tcp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Requests a second, the lowest and the highest expected success rate, that of a real Linkerd.
const ROWS: [(u32, f64, f64, f64); 4] =
    [(5, 94.0, 100.0, 100.0), (10, 69.0, 94.0, 84.0), (20, 50.0, 67.0, 60.7), (40, 40.0, 50.0, 43.2)];
const SECONDS: u32 = 30;

/// Returns the same target for every destination.
struct One(watch::Receiver<Arc<Target>>);

impl Discovery for One {
    fn discover<'a>(&'a self, _to: &'a Destination) -> BoxFuture<'a, Option<watch::Receiver<Arc<Target>>>> {
        let target = self.0.clone();
        Box::pin(async move { Some(target) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let to = failing().await?;
    let rows: Vec<_> = ROWS.map(|row| tokio::spawn(success_rate(to, row.0))).into();
    let mut outside = 0;
    for ((rate, low, high, linkerd), row) in ROWS.into_iter().zip(rows) {
        let success = row.await?;
        let inside = (low..=high).contains(&success);
        outside += u32::from(!inside);
        let place = if inside { "inside" } else { "OUTSIDE" };
        writeln!(
            std::io::stdout(),
            "{rate:>3}/s {success:6.1} %  {place} {low} to {high}  (Linkerd {linkerd})"
        )?;
    }
    if outside > 0 { Err(format!("{outside} rows are outside of their range").into()) } else { Ok(()) }
}

/// Starts a server that fails 70 % of its requests; returns its address.
async fn failing() -> std::io::Result<SocketAddr> {
    let mut listener = Tcp.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let addr = listener.local_addr();
    let respond = async |_: Request<Incoming>| {
        let status = if rand::random_bool(0.7) { 500 } else { 200 };
        let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        Ok::<_, Infallible>(response)
    };
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(io), service_fn(respond));
            tokio::spawn(served);
        }
    });
    Ok(addr)
}

/// Returns the success rate in percent at a request rate, through a new proxy.
async fn success_rate(to: SocketAddr, rate: u32) -> f64 {
    let route = Route { retryable: true, condition: RequestMatch::All(Vec::new()), ..Route::fallback() };
    let endpoint = Endpoint { addr: to, identity: None, labels: Vec::new() };
    let target = Target {
        authority: Some("web.default.svc.cluster.local:9090".into()),
        service: None,
        profile: Some(Arc::new(Profile { routes: vec![Arc::new(route)], ..Profile::default() })),
        egress: None,
        policy: Arc::default(),
        endpoints: watch::channel(Arc::from([endpoint])).1,
        opaque: false,
    };
    let discovery = Arc::new(One(watch::channel(Arc::new(target)).1));
    let proxy = Proxy::new(ProxyConfig::new(Arc::new(Tcp), Arc::new(Tcp), discovery));
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move { proxy.outbound(Box::new(far), to, to).await });
    let (mut sender, driver) = http1::handshake(TokioIo::new(near)).await.expect("a connection");
    tokio::spawn(driver);
    let start = Instant::now();
    let mut successes = 0;
    for n in 0..rate * SECONDS {
        sleep_until(start + n * Duration::from_secs(1) / rate).await;
        sender.ready().await.expect("an open connection");
        let request = Request::get("/").header("host", "web").body(Empty::<Bytes>::new()).expect("a request");
        let response = sender.send_request(request).await.expect("a response");
        successes += u32::from(response.status() == 200);
    }
    100.0 * f64::from(successes) / f64::from(rate * SECONDS)
}
