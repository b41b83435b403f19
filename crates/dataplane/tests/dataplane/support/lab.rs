//! Services that can change, proxies on both sides, and a client.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use meshy_dataplane::policy::{Egress, Policy, ServiceRef};
use meshy_dataplane::profile::{PathRegex, Profile, RequestMatch, Route};
use meshy_dataplane::{Destination, Discovery, Endpoint, Proxy, ProxyConfig, Target};
use meshy_net::BoxFuture;
use tokio::sync::watch;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::{Memory, scrape, sum};

/// The address of the service `web`.
pub(crate) const WEB: &str = "10.96.0.1:9090";

/// Services, and the network between their pods.
#[derive(Clone)]
pub(crate) struct Lab {
    /// The network between pods.
    pub(crate) wire: Memory,
    targets: Arc<Mutex<HashMap<Destination, watch::Sender<Arc<Target>>>>>,
    /// The proxies of its meshed pods.
    pub(crate) pods: Arc<Mutex<Vec<Proxy>>>,
}

impl Default for Lab {
    fn default() -> Self {
        register_subscribers();
        Self { wire: Memory::default(), targets: Arc::default(), pods: Arc::default() }
    }
}

/// Registers two tracing subscribers before any proxy runs. With a single one, tracing asks only the current thread's
/// subscriber whether an event is of interest, and a thread without one can disable the event for the log of another test.
fn register_subscribers() {
    static REGISTERED: OnceLock<[Dispatch; 2]> = OnceLock::new();
    REGISTERED.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::default())));
}

impl Discovery for Lab {
    fn discover<'a>(
        &'a self,
        destination: &'a Destination,
    ) -> BoxFuture<'a, Option<watch::Receiver<Arc<Target>>>> {
        let target = self.targets.lock().unwrap().get(destination).map(watch::Sender::subscribe);
        Box::pin(async move { target })
    }
}

/// A service whose target can be changed.
pub(crate) struct Service {
    /// By its address and by its name.
    targets: [watch::Sender<Arc<Target>>; 2],
    endpoints: watch::Sender<Arc<[Endpoint]>>,
}

impl Service {
    pub(crate) fn change(&self, change: &dyn Fn(&mut Target)) {
        let mut target = Target::clone(&self.targets[0].borrow());
        change(&mut target);
        let target = Arc::new(target);
        for sender in &self.targets {
            sender.send_replace(target.clone());
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
    /// Adds `NAME.default.svc.cluster.local`, which can be discovered by its address and by its name.
    pub(crate) fn service(&self, name: &str, addr: &str, endpoints: &[Endpoint]) -> Service {
        let addr: SocketAddr = addr.parse().unwrap();
        let host = format!("{name}.default.svc.cluster.local");
        let service = ServiceRef { namespace: "default".into(), name: name.into(), port: addr.port() };
        let (sender, receiver) = watch::channel(endpoints.into());
        let target = Arc::new(Target {
            authority: Some(format!("{host}:{}", addr.port()).into()),
            service: Some(service),
            egress: None,
            profile: None,
            policy: Arc::default(),
            endpoints: receiver,
            opaque: false,
        });
        let targets = [Destination::Address(addr), Destination::Name(host, addr.port())].map(|destination| {
            let sender = watch::channel(target.clone()).0;
            self.targets.lock().unwrap().insert(destination, sender.clone());
            sender
        });
        Service { targets, endpoints: sender }
    }

    /// Adds an address outside of the cluster with its egress network.
    pub(crate) fn outside(&self, addr: &str, egress: Egress) {
        self.outside_with(addr, egress, Policy::default());
    }

    /// Adds an address outside of the cluster with its egress network and the network's policy.
    pub(crate) fn outside_with(&self, addr: &str, egress: Egress, policy: Policy) {
        let addr: SocketAddr = addr.parse().unwrap();
        let target = Target {
            authority: None,
            service: None,
            egress: Some(egress),
            profile: None,
            policy: Arc::new(policy),
            endpoints: watch::channel([Endpoint { addr, identity: None, labels: Vec::new() }].into()).1,
            opaque: false,
        };
        let sender = watch::channel(Arc::new(target)).0;
        self.targets.lock().unwrap().insert(Destination::Address(addr), sender);
    }

    /// Returns the proxy of a pod whose application is on `app`.
    pub(crate) fn proxy(&self, app: &Memory, change: impl FnOnce(&mut ProxyConfig)) -> Proxy {
        // Without the proxies of pods, which would own themselves otherwise.
        let services = Self { pods: Arc::default(), ..self.clone() };
        let mut config =
            ProxyConfig::new(Arc::new(self.wire.clone()), Arc::new(app.clone()), Arc::new(services));
        change(&mut config);
        Proxy::new(config)
    }

    /// Redirects connections to a pod's address to its proxy.
    pub(crate) fn mesh(&self, proxy: &Proxy, addr: SocketAddr) {
        self.pods.lock().unwrap().push(proxy.clone());
        let mut accepted = self.wire.listen_at(addr);
        let proxy = proxy.clone();
        tokio::spawn(async move {
            while let Some(io) = accepted.recv().await {
                let proxy = proxy.clone();
                tokio::spawn(async move { proxy.inbound(io, addr, "10.244.9.9:1".parse().unwrap()).await });
            }
        });
    }

    /// Returns a client in a pod whose proxy has no identity.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.proxy(&Memory::default(), |_| {}))
    }
}

/// Returns an endpoint without an identity.
pub(crate) fn endpoint(addr: &str) -> Endpoint {
    Endpoint { addr: addr.parse().unwrap(), identity: None, labels: Vec::new() }
}

/// Returns a route for a method and a path.
pub(crate) fn route(name: &str, method: Method, path: &str, retryable: bool) -> Arc<Route> {
    let condition = RequestMatch::All(vec![
        RequestMatch::Method(method),
        RequestMatch::Path(PathRegex::new(path).unwrap()),
    ]);
    Arc::new(Route { name: Some(name.into()), condition, retryable, ..Route::fallback() })
}

/// An application that sends requests through its proxy, those of HTTP/1 on one connection.
pub(crate) struct Client {
    pub(crate) proxy: Proxy,
    /// The proxies of the pods that it can reach, if the test compares their counters with a row's.
    pub(crate) pods: Arc<Mutex<Vec<Proxy>>>,
    h1: Mutex<HashMap<SocketAddr, Vec<http1::SendRequest<Full<Bytes>>>>>,
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct ClientResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Client {
    pub(crate) fn new(proxy: Proxy) -> Self {
        Self { proxy, pods: Arc::default(), h1: Mutex::default() }
    }

    /// Opens a connection to an address through the proxy.
    pub(crate) fn dial(&self, to: &str) -> tokio::io::DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (proxy, to) = (self.proxy.clone(), to.parse().unwrap());
        tokio::spawn(async move { proxy.outbound(Box::new(far), to, "10.244.0.9:1".parse().unwrap()).await });
        near
    }

    /// Sends a request to `web`.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> ClientResponse {
        self.send_to(WEB, request).await.expect("a response")
    }

    pub(crate) async fn get(&self, path: &str) -> ClientResponse {
        self.send(Request::get(path).header("host", "web:9090").body(Bytes::new()).unwrap()).await
    }

    /// Sends a request to an address; each HTTP/2 request has its own connection.
    pub(crate) async fn send_to(&self, to: &str, request: Request<Bytes>) -> hyper::Result<ClientResponse> {
        let request = request.map(Full::new);
        let addr: SocketAddr = to.parse().unwrap();
        let response = if request.version() == Version::HTTP_2 {
            let io = TokioIo::new(self.dial(to));
            let (mut sender, driver) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(driver);
            sender.send_request(request).await?
        } else {
            let idle =
                self.h1.lock().unwrap().get_mut(&addr).and_then(Vec::pop).filter(|sender| sender.is_ready());
            let mut sender = match idle {
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
            return Ok(ClientResponse { status, headers, body: body.to_bytes(), trailers });
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        Ok(ClientResponse {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
            trailers,
        })
    }

    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        sum(&scrape(&self.proxy), name, labels)
    }

    /// Waits until a metric has a value: what a caller observes is not always counted before.
    pub(crate) async fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        let wait = async {
            while self.metric(name, labels) != value {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let has_value = tokio::time::timeout(Duration::from_secs(5), wait).await.is_ok();
        assert!(
            has_value,
            "{name} {labels:?} is {}, not {value}:\n{}",
            self.metric(name, labels),
            scrape(&self.proxy)
        );
    }
}
