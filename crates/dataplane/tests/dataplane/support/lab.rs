//! Services that can change, proxies before and behind them, and a client.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use meshy_dataplane::policy::{Policy, ServiceRef};
use meshy_dataplane::profile::{PathRegex, Profile, RequestMatch, Route};
use meshy_dataplane::{Destination, Discovery, Endpoint, Proxy, ProxyConfig, Target};
use meshy_net::BoxFuture;
use tokio::sync::watch;

use super::{Memory, scrape, sum};

/// The address of the service `web`.
pub(crate) const WEB: &str = "10.96.0.1:9090";

/// A world of services.
#[derive(Clone, Default)]
pub(crate) struct Lab {
    /// Between pods.
    pub(crate) wire: Memory,
    known: Arc<Mutex<HashMap<Destination, watch::Sender<Arc<Target>>>>>,
}

impl Discovery for Lab {
    fn discover<'a>(
        &'a self,
        destination: &'a Destination,
    ) -> BoxFuture<'a, Option<watch::Receiver<Arc<Target>>>> {
        let told = self.known.lock().unwrap().get(destination).map(watch::Sender::subscribe);
        Box::pin(async move { told })
    }
}

/// A service whose target can be changed.
pub(crate) struct Service {
    told: [watch::Sender<Arc<Target>>; 2],
    endpoints: watch::Sender<Arc<[Endpoint]>>,
}

impl Service {
    pub(crate) fn change(&self, change: &dyn Fn(&mut Target)) {
        let mut target = Target::clone(&self.told[0].borrow());
        change(&mut target);
        let target = Arc::new(target);
        for told in &self.told {
            told.send_replace(target.clone());
        }
    }

    pub(crate) fn profile(&self, profile: Profile) {
        let profile = Some(Arc::new(profile));
        self.change(&|target| target.profile = profile.clone());
    }

    pub(crate) fn policy(&self, policy: Policy) {
        let policy = Arc::new(policy);
        self.change(&|target| target.policy = policy.clone());
    }

    pub(crate) fn endpoints(&self, endpoints: &[Endpoint]) {
        self.endpoints.send_replace(endpoints.into());
    }
}

impl Lab {
    /// Makes `NAME.default.svc.cluster.local` known by its address and its name.
    pub(crate) fn service(&self, name: &str, addr: &str, endpoints: &[Endpoint]) -> Service {
        let addr: SocketAddr = addr.parse().unwrap();
        let host = format!("{name}.default.svc.cluster.local");
        let service = ServiceRef { namespace: "default".into(), name: name.into(), port: addr.port() };
        let (sender, receiver) = watch::channel(endpoints.into());
        let target = Arc::new(Target {
            authority: Some(format!("{host}:{}", addr.port()).into()),
            service: Some(service),
            profile: None,
            policy: Arc::default(),
            endpoints: receiver,
            opaque: false,
        });
        let told = [Destination::Address(addr), Destination::Name(host, addr.port())].map(|destination| {
            let told = watch::channel(target.clone()).0;
            self.known.lock().unwrap().insert(destination, told.clone());
            told
        });
        Service { told, endpoints: sender }
    }

    /// A proxy of a pod whose application is on `app`.
    pub(crate) fn proxy(&self, app: &Memory, change: impl FnOnce(&mut ProxyConfig)) -> Proxy {
        let mut config =
            ProxyConfig::new(Arc::new(self.wire.clone()), Arc::new(app.clone()), Arc::new(self.clone()));
        change(&mut config);
        Proxy::new(config)
    }

    /// Takes connections to a pod's address to its proxy.
    pub(crate) fn mesh(&self, proxy: &Proxy, addr: SocketAddr) {
        let mut accepted = self.wire.listen_at(addr);
        let proxy = proxy.clone();
        tokio::spawn(async move {
            while let Some(io) = accepted.recv().await {
                let proxy = proxy.clone();
                tokio::spawn(async move { proxy.inbound(io, addr, "10.244.9.9:1".parse().unwrap()).await });
            }
        });
    }

    /// A client in a plain pod, with its proxy.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.proxy(&Memory::default(), |_| {}))
    }
}

/// An endpoint without an identity.
pub(crate) fn endpoint(addr: &str) -> Endpoint {
    Endpoint { addr: addr.parse().unwrap(), identity: None, labels: Vec::new() }
}

/// A retryable or other route for a method and a path.
pub(crate) fn route(name: &str, method: Method, path: &str, retryable: bool) -> Arc<Route> {
    let condition = RequestMatch::All(vec![
        RequestMatch::Method(method),
        RequestMatch::Path(PathRegex::new(path).unwrap()),
    ]);
    Arc::new(Route { name: Some(name.into()), condition, retryable, ..Route::fallback() })
}

/// An application that sends requests through its proxy, one connection for all of them.
pub(crate) struct Client {
    pub(crate) proxy: Proxy,
    h1: Mutex<HashMap<SocketAddr, Vec<http1::SendRequest<Full<Bytes>>>>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Client {
    pub(crate) fn new(proxy: Proxy) -> Self {
        Self { proxy, h1: Mutex::default() }
    }

    /// A connection to an address through the proxy.
    pub(crate) fn dial(&self, to: &str) -> tokio::io::DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (proxy, to) = (self.proxy.clone(), to.parse().unwrap());
        tokio::spawn(async move { proxy.outbound(Box::new(far), to, "10.244.0.9:1".parse().unwrap()).await });
        near
    }

    /// Sends a request to `web`.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Reply {
        self.send_to(WEB, request).await.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).header("host", "web:9090").body(Bytes::new()).unwrap()).await
    }

    /// Sends a request to an address; HTTP/2 requests have a connection each.
    pub(crate) async fn send_to(&self, to: &str, request: Request<Bytes>) -> hyper::Result<Reply> {
        let request = request.map(Full::new);
        let addr: SocketAddr = to.parse().unwrap();
        let response = if request.version() == Version::HTTP_2 {
            let io = TokioIo::new(self.dial(to));
            let (mut sender, driver) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(driver);
            sender.send_request(request).await?
        } else {
            let kept =
                self.h1.lock().unwrap().get_mut(&addr).and_then(Vec::pop).filter(|kept| kept.is_ready());
            let mut sender = match kept {
                Some(sender) => sender,
                None => {
                    let (sender, driver) = http1::handshake(TokioIo::new(self.dial(to))).await?;
                    tokio::spawn(driver);
                    sender
                }
            };
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?;
            if sender.ready().await.is_ok() {
                self.h1.lock().unwrap().entry(addr).or_default().push(sender);
            }
            let trailers = body.trailers().cloned();
            let (status, headers) = (head.status.as_u16(), head.headers);
            return Ok(Reply { status, headers, body: body.to_bytes(), trailers });
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers })
    }

    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        sum(&scrape(&self.proxy), name, labels)
    }

    /// Waits until a metric has a value; things at rest are counted, but not always before the caller knows.
    pub(crate) async fn reaches(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        let wait = async {
            while self.metric(name, labels) != value {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(5), wait).await.is_err() {
            panic!(
                "{name} {labels:?} is {}, not {value}:\n{}",
                self.metric(name, labels),
                scrape(&self.proxy)
            );
        }
    }
}
