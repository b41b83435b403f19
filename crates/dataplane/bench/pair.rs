//! The proxy over TCP, for the benchmarks: one hop, one hop with a profile, or a pair with mutual TLS.
//!
//! ```text
//! pair plain  LISTEN UPSTREAM            one outbound hop
//! pair routes LISTEN UPSTREAM [ROUTES]   one outbound hop with a profile of ROUTES retryable routes (default 10)
//! pair mtls   LISTEN UPSTREAM            outbound, TLS over loopback, inbound; both with 10 retryable routes
//! pair open   LISTEN UPSTREAM            the same pair without routes and without an inbound policy
//! pair guarded LISTEN UPSTREAM           the same pair with ten HTTPRoutes, and a Server with ten routes, authorization and a
//!                                        rate limit that no request reaches
//! pair idle   COUNT                      creates COUNT meshed proxies and waits, to measure their memory
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;
use meshy_dataplane::policy::{
    Authorization, HttpRoute, Identities, IdentityMatch, InboundPolicies, InboundPolicy, InboundRoute,
    Network, ObjectRef, PathMatch, Policy, RateLimit, RouteMatch, RouteRule, ServiceRef,
};
use meshy_dataplane::profile::{PathRegex, Profile, RequestMatch, RetryBudget, Route};
use meshy_dataplane::{Destination, Discovery, Endpoint, Identity, Proxy, ProxyConfig, Target};
use meshy_net::{BoxFuture, Network as _, Tcp};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

type MainResult = Result<(), Box<dyn std::error::Error>>;

const NAME: &str = "default.default.serviceaccount.identity.linkerd.cluster.local";

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["plain", listen, upstream] => hop(listen.parse()?, upstream.parse()?, None, None).await,
        ["routes", listen, upstream] => hop(listen.parse()?, upstream.parse()?, Some(10), None).await,
        ["routes", listen, upstream, routes] => {
            hop(listen.parse()?, upstream.parse()?, Some(routes.parse()?), None).await
        }
        ["mtls", listen, upstream] => pair(listen.parse()?, upstream.parse()?, Pair::Profiles).await,
        ["open", listen, upstream] => pair(listen.parse()?, upstream.parse()?, Pair::Open).await,
        ["guarded", listen, upstream] => pair(listen.parse()?, upstream.parse()?, Pair::Guarded).await,
        ["idle", count] => idle(count.parse()?).await,
        _ => Err("usage: pair plain|routes|mtls|open|guarded LISTEN UPSTREAM, or pair idle COUNT".into()),
    }
}

/// Returns the same target for every destination.
struct One(watch::Receiver<Arc<Target>>);

impl Discovery for One {
    fn discover<'a>(&'a self, _to: &'a Destination) -> BoxFuture<'a, Option<watch::Receiver<Arc<Target>>>> {
        let target = self.0.clone();
        Box::pin(async move { Some(target) })
    }
}

fn config(
    to: SocketAddr,
    peer: Option<&str>,
    profile: Option<Arc<Profile>>,
    identity: Option<Identity>,
) -> ProxyConfig {
    let endpoint = Endpoint {
        addr: to,
        identity: peer.map(Into::into),
        labels: vec![("dst_service".into(), "web".into()), ("dst_namespace".into(), "default".into())],
    };
    let target = Target {
        authority: Some("web.default.svc.cluster.local:9090".into()),
        service: Some(ServiceRef { namespace: "default".into(), name: "web".into(), port: 9090 }),
        egress: None,
        profile,
        policy: Arc::default(),
        endpoints: watch::channel(Arc::from([endpoint])).1,
        opaque: false,
    };
    let discovery = Arc::new(One(watch::channel(Arc::new(target)).1));
    let mut config = ProxyConfig::new(Arc::new(Tcp), Arc::new(Tcp), discovery);
    config.identity = identity.map(Identity::into_watch);
    config
}

/// Returns a profile whose last route matches the benchmark's requests.
fn profile(routes: usize) -> Arc<Profile> {
    let one = |n: usize| {
        let path = if n + 1 == routes { "/".to_owned() } else { format!("/item/{n}/[^/]*") };
        let condition = RequestMatch::All(vec![
            RequestMatch::Method(Method::GET),
            RequestMatch::Path(PathRegex::new(&path).expect("a valid expression")),
        ]);
        let timeout = None;
        Arc::new(Route {
            name: Some(format!("GET {path}")),
            condition,
            retryable: true,
            timeout,
            ..Route::fallback()
        })
    };
    let retry_budget = Some(RetryBudget::default());
    Arc::new(Profile { routes: (0..routes).map(one).collect(), retry_budget, dst_overrides: Vec::new() })
}

async fn hop(
    listen: SocketAddr,
    to: SocketAddr,
    routes: Option<usize>,
    identity: Option<Identity>,
) -> MainResult {
    let proxy = Proxy::new(config(to, None, routes.map(profile), identity));
    outbound(listen, to, proxy).await
}

async fn outbound(listen: SocketAddr, to: SocketAddr, proxy: Proxy) -> MainResult {
    let mut listener = Tcp.listen(listen).await?;
    loop {
        let (io, peer) = listener.accept().await?;
        let proxy = proxy.clone();
        tokio::spawn(async move { proxy.outbound(io, to, peer).await });
    }
}

/// What the proxies of a pair do to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// Both have a profile of ten routes.
    Profiles,
    /// Nothing but mutual TLS and metrics.
    Open,
    /// Ten HTTPRoutes, and a Server with ten routes, authorization and a rate limit.
    Guarded,
}

async fn pair(listen: SocketAddr, to: SocketAddr, kind: Pair) -> MainResult {
    let (ours, theirs) = identities()?;
    let mut between = Tcp.listen("127.0.0.1:0".parse()?).await?;
    let meshed = between.local_addr();
    let routes = (kind == Pair::Profiles).then(|| profile(10));
    let mut server = config(to, None, routes.clone(), Some(theirs));
    if kind == Pair::Guarded {
        server.inbound_policies = Some(Arc::new(Guard));
    }
    let server = Proxy::new(server);
    tokio::spawn(async move {
        loop {
            if let Ok((io, peer)) = between.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.inbound(io, to, peer).await });
            }
        }
    });
    let mut client = config(meshed, Some(NAME), routes, Some(ours));
    if kind == Pair::Guarded {
        client.discovery = Arc::new(One(watch::channel(Arc::new(guarded_target(meshed))).1));
    }
    outbound(listen, meshed, Proxy::new(client)).await
}

/// Returns ten routes of which the last one matches the benchmark's requests.
fn http_routes() -> Vec<HttpRoute> {
    let route = |n: usize| {
        let path = if n == 9 { "/".to_owned() } else { format!("/item/{n}") };
        let one = RouteMatch {
            path: Some(PathMatch::Prefix(path)),
            method: Some(Method::GET),
            ..RouteMatch::default()
        };
        let rules = vec![RouteRule { matches: vec![one], ..RouteRule::default() }];
        HttpRoute { namespace: "default".into(), name: format!("route-{n}"), rules, ..HttpRoute::default() }
    };
    (0..10).map(route).collect()
}

fn guarded_target(to: SocketAddr) -> Target {
    let endpoint = Endpoint { addr: to, identity: Some(NAME.into()), labels: Vec::new() };
    Target {
        authority: Some("web.default.svc.cluster.local:9090".into()),
        service: Some(ServiceRef { namespace: "default".into(), name: "web".into(), port: 9090 }),
        egress: None,
        profile: None,
        policy: Arc::new(Policy { routes: http_routes(), ..Policy::default() }),
        endpoints: watch::channel(Arc::from([endpoint])).1,
        opaque: false,
    }
}

/// A Server whose routes each allow the client's identity, with a rate limit that no request reaches.
struct Guard;

impl InboundPolicies for Guard {
    fn of_port(&self, _: u16) -> watch::Receiver<Arc<InboundPolicy>> {
        let object = |kind: &str, name: &str| ObjectRef {
            group: "policy.linkerd.io".into(),
            kind: kind.into(),
            name: name.into(),
        };
        let authorization = Authorization {
            object: object("authorizationpolicy", "client"),
            networks: Network::all(),
            identities: Identities::Authenticated(vec![vec![IdentityMatch::Exact(NAME.into())]]),
        };
        let route = |route: HttpRoute| InboundRoute { route, authorizations: vec![authorization.clone()] };
        let rate_limit = Some(RateLimit {
            object: object("HTTPLocalRateLimitPolicy", "limit"),
            total: Some(1_000_000_000),
            identity: Some(1_000_000_000),
            overrides: Vec::new(),
        });
        let policy = InboundPolicy {
            server: object("server", "web-http"),
            opaque: false,
            authorizations: Vec::new(),
            routes: http_routes().into_iter().map(route).collect(),
            rate_limit,
        };
        watch::channel(Arc::new(policy)).1
    }
}

/// Returns two identities of one service account with the same root.
fn identities() -> Result<(Identity, Identity), Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate()?;
    let root = params.self_signed(&root_key)?.der().clone();
    let issuer = Issuer::new(params, root_key);
    let issue = || -> Result<Identity, Box<dyn std::error::Error>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf: CertificateDer<'static> = params.signed_by(&key, &issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(Identity::new(NAME, vec![leaf], key, [root.clone()])?)
    };
    Ok((issue()?, issue()?))
}

async fn idle(count: usize) -> MainResult {
    let (identity, _) = identities()?;
    let to = "127.0.0.1:1".parse()?;
    // The cluster compiles each expression once, for all proxies.
    let profile = profile(10);
    let config = || config(to, Some(NAME), Some(profile.clone()), Some(identity.clone()));
    let proxies: Vec<_> = (0..count).map(|_| Proxy::new(config())).collect();
    std::future::pending::<()>().await;
    drop(proxies);
    Ok(())
}
