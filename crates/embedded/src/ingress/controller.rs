//! The program of the ingress pod.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::networking::v1::Ingress;
use meshy_linkerd::names;
use meshy_net::{BoxFuture, BoxIo, Network};
use rand::seq::IndexedRandom;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::body::RequestBody;
use super::connection::{self, HEADER_TIMEOUT};
use super::connections::Connections;
use super::forward::{self, Body, Upstreams, plain_response};
use super::rules::{Backend, BackendPort, Rules};
use crate::api::Api;
use crate::logs::Log;
use crate::network::ServicePort;
use crate::object::ObjectExt;
use crate::program::{Execution, ExitCode, Program};
use crate::service_table::ServiceTable;

/// The port of the health checks of the controller, as with ingress-nginx.
const HEALTH_PORT: u16 = 10254;
const DST_OVERRIDE: HeaderName = HeaderName::from_static(names::DST_OVERRIDE);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The ingress controller.
pub(crate) struct IngressProgram {
    pub(crate) api: Api,
    pub(crate) services: Arc<ServiceTable>,
}

impl Program for IngressProgram {
    fn run(&self, execution: Execution) -> BoxFuture<'static, ExitCode> {
        let controller = IngressController {
            api: self.api.clone(),
            services: self.services.clone(),
            rules: RwLock::default(),
            upstreams: forward::upstreams(execution.network.clone()),
            log: execution.log.clone(),
            sets_dst_override: execution.pod.annotation(names::INJECT) == Some(names::INGRESS),
        };
        Box::pin(run(Arc::new(controller), execution))
    }
}

/// The state of one run.
struct IngressController {
    api: Api,
    services: Arc<ServiceTable>,
    rules: RwLock<Arc<Rules>>,
    upstreams: Upstreams<RequestBody>,
    log: Arc<Log>,
    /// Whether the proxy of the pod routes by header (ingress mode), not by address.
    sets_dst_override: bool,
}

/// Serves Ingresses until termination is requested and the open requests have their responses.
async fn run(controller: Arc<IngressController>, execution: Execution) -> ExitCode {
    let Execution { network, log, ready, termination, .. } = execution;
    controller.read_rules();
    let mut listeners = Vec::new();
    for port in [80, HEALTH_PORT] {
        match network.listen(([0, 0, 0, 0], port).into()).await {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                log.write(format!("ERROR cannot listen on port {port}: {error}"));
                return 1;
            }
        }
    }
    let (mut web, mut health) = (listeners.remove(0), listeners.remove(0));
    let mut changes = controller.api.watch::<Ingress>();
    ready.set();
    let places = Arc::new(Connections::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = web.accept() => if let Ok((io, peer)) = accepted {
                let controller = controller.clone();
                let respond = move |request| {
                    let controller = controller.clone();
                    async move { controller.respond(request, peer).await }
                };
                connections.spawn(connection::serve(io, places.open(), termination.clone(), respond));
            },
            accepted = health.accept() => if let Ok((io, _)) = accepted {
                connections.spawn(serve_health(io));
            },
            Some(_) = changes.next() => controller.read_rules(),
            Some(_) = connections.join_next() => {}
            () = termination.requested() => break,
        }
    }
    drop((web, health));
    while connections.join_next().await.is_some() {}
    0
}

async fn serve_health(io: BoxIo) {
    let respond = |_: Request<Incoming>| async { Ok::<_, Infallible>(plain_response(StatusCode::OK)) };
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(io), service_fn(respond))
        .await;
}

impl IngressController {
    fn read_rules(&self) {
        let rules = Rules::of(&self.api.list::<Ingress>(None));
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Responds to a request and writes the access log.
    async fn respond(&self, request: Request<RequestBody>, peer: SocketAddr) -> Response<Body> {
        let start = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| request.uri().host())
            .unwrap_or_default()
            .to_owned();
        let response = self.route(request, &host, peer).await;
        let (client, status) = (peer.ip(), response.status().as_u16());
        let seconds = start.elapsed().as_secs_f64();
        self.log.write(format!("{client} {method} {host}{path} {status} {seconds:.3}"));
        response
    }

    async fn route(&self, mut request: Request<RequestBody>, host: &str, peer: SocketAddr) -> Response<Body> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(backend) = rules.find(host, request.uri().path()) else {
            return plain_response(StatusCode::NOT_FOUND);
        };
        let Some(port) = self.port(backend) else {
            return plain_response(StatusCode::SERVICE_UNAVAILABLE);
        };
        let Some(endpoint) = port.endpoints.choose(&mut rand::rng()) else {
            return plain_response(StatusCode::SERVICE_UNAVAILABLE);
        };
        self.set_headers(&mut request, backend, port.port, host, peer);
        forward::send(&self.upstreams, *endpoint, request).await
    }

    fn port(&self, backend: &Backend) -> Option<ServicePort> {
        let entry = self.services.entry(&backend.namespace, &backend.service)?;
        let matches = |port: &&ServicePort| match &backend.port {
            BackendPort::Number(number) => port.port == *number,
            BackendPort::Name(name) => port.name == *name,
        };
        entry.ports.iter().find(matches).cloned()
    }

    /// Sets the headers of a forwarded request; values that the client sent are replaced.
    fn set_headers(
        &self,
        request: &mut Request<RequestBody>,
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
        if self.sets_dst_override {
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
