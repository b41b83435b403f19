//! The program of the ingress pod.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use meshy_mesh::names;
use meshy_net::{BoxIo, Network};
use rand::seq::IndexedRandom;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::forward::{self, Body, Upstreams};
use super::rules::{Backend, Port, Rules};
use crate::api::INGRESSES;
use crate::network::ServicePort;
use crate::node::Home;
use crate::node::logs::Log;
use crate::object::annotation;

/// Where the controller's own health is asked for, as with ingress-nginx.
const HEALTH_PORT: u16 = 10254;
/// A connection without a whole request head for this long is closed.
const IDLE: Duration = Duration::from_secs(75);

const DST_OVERRIDE: HeaderName = HeaderName::from_static(names::DST_OVERRIDE);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

struct Ingress {
    home: Arc<Home>,
    rules: RwLock<Arc<Rules>>,
    upstreams: Upstreams,
    log: Arc<Log>,
    /// Meshed in ingress mode: its proxy goes by the header, not by the address.
    names_services: bool,
}

/// Serves Ingresses until it is asked to stop and open requests are answered.
pub(crate) async fn run(home: &Arc<Home>, log: Arc<Log>, stop: CancellationToken) -> u8 {
    let ingress = Arc::new(Ingress {
        home: home.clone(),
        rules: RwLock::default(),
        upstreams: forward::upstreams(home.network.clone()),
        log: log.clone(),
        names_services: annotation(&home.pod, names::INJECT) == Some(names::INGRESS),
    });
    ingress.read_rules();
    let mut listeners = Vec::new();
    for port in [80, HEALTH_PORT] {
        match home.network.listen(([0, 0, 0, 0], port).into()).await {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                log.write(format!("ERROR listen on port {port}: {error}"));
                return 1;
            }
        }
    }
    let (mut web, mut health) = (listeners.remove(0), listeners.remove(0));
    let mut changes = home.node.api.watch(INGRESSES);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = web.accept() => if let Ok((io, peer)) = accepted {
                connections.spawn(converse(ingress.clone(), io, peer, stop.clone()));
            },
            accepted = health.accept() => if let Ok((io, _)) = accepted {
                connections.spawn(answer_health(io));
            },
            Some(_) = changes.next() => ingress.read_rules(),
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    drop((web, health));
    while connections.join_next().await.is_some() {}
    0
}

async fn converse(ingress: Arc<Ingress>, io: BoxIo, peer: SocketAddr, stop: CancellationToken) {
    let respond = |request| {
        let ingress = ingress.clone();
        async move { Ok::<_, Infallible>(ingress.answer(request, peer).await) }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(io), service_fn(respond));
    let mut connection = std::pin::pin!(connection);
    // An error is the client's: it went away or did not speak HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn answer_health(io: BoxIo) {
    let respond = |_: Request<Incoming>| async { Ok::<_, Infallible>(forward::say(StatusCode::OK)) };
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(io), service_fn(respond))
        .await;
}

impl Ingress {
    fn read_rules(&self) {
        let all = self.home.node.api.list(INGRESSES, None);
        let rules = Rules::of(all.iter().map(|ingress| ingress.value()));
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let began = std::time::Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| request.uri().host())
            .unwrap_or_default()
            .to_owned();
        let answer = self.route(request, &host, peer).await;
        let taken = began.elapsed().as_secs_f64();
        self.log.write(format!(
            "{} {method} {host}{path} {} {taken:.3}",
            peer.ip(),
            answer.status().as_u16()
        ));
        answer
    }

    async fn route(&self, mut request: Request<Incoming>, host: &str, peer: SocketAddr) -> Response<Body> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(backend) = rules.find(host, request.uri().path()) else {
            return forward::say(StatusCode::NOT_FOUND);
        };
        let Some(port) = self.port(backend) else { return forward::say(StatusCode::SERVICE_UNAVAILABLE) };
        let Some(endpoint) = port.endpoints.choose(&mut rand::rng()) else {
            return forward::say(StatusCode::SERVICE_UNAVAILABLE);
        };
        self.mark(&mut request, backend, port.port, host, peer);
        forward::send(&self.upstreams, *endpoint, request).await
    }

    fn port(&self, backend: &Backend) -> Option<ServicePort> {
        let entry = self.home.node.topology.entry(&backend.namespace, &backend.service)?;
        let wanted = |port: &&ServicePort| match &backend.port {
            Port::Number(number) => port.port == *number,
            Port::Name(name) => port.name == *name,
        };
        entry.ports.iter().find(wanted).cloned()
    }

    /// Sets what the ingress tells its backend; a client's own values do not pass.
    fn mark(
        &self,
        request: &mut Request<Incoming>,
        backend: &Backend,
        port: u16,
        host: &str,
        peer: SocketAddr,
    ) {
        let headers = request.headers_mut();
        headers.remove(DST_OVERRIDE);
        let mut set = |name, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        if self.names_services {
            let name = names::service_fqdn(&backend.service, &backend.namespace);
            set(DST_OVERRIDE, format!("{name}:{port}"));
        }
        set(FORWARDED_FOR, peer.ip().to_string());
        set(REAL_IP, peer.ip().to_string());
        set(FORWARDED_HOST, host.to_owned());
        set(FORWARDED_PORT, "80".to_owned());
        set(FORWARDED_PROTO, "http".to_owned());
        if !headers.contains_key(REQUEST_ID)
            && let Ok(id) = HeaderValue::try_from(format!("{:032x}", rand::random::<u128>()))
        {
            headers.insert(REQUEST_ID, id);
        }
    }
}
