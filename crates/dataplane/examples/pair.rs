//! The proxy over TCP, for the benchmarks: one hop, one hop with a profile, or a pair with mutual TLS.
//!
//! ```text
//! pair plain  LISTEN UPSTREAM            one outbound hop
//! pair routes LISTEN UPSTREAM [ROUTES]   one outbound hop with a profile of ROUTES retryable routes (default 10)
//! pair mtls   LISTEN UPSTREAM            outbound, TLS over loopback, inbound; both with 10 retryable routes
//! pair idle   COUNT                      creates COUNT meshed proxies and waits, to measure their memory
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;
use meshy_dataplane::policy::ServiceRef;
use meshy_dataplane::profile::{PathRegex, Profile, RequestMatch, RetryBudget, Route};
use meshy_dataplane::{Destination, Discovery, Endpoint, Identity, Proxy, ProxyConfig, Target};
use meshy_net::{BoxFuture, Network, Tcp};
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
        ["mtls", listen, upstream] => pair(listen.parse()?, upstream.parse()?).await,
        ["idle", count] => idle(count.parse()?).await,
        _ => Err("usage: pair plain|routes|mtls LISTEN UPSTREAM, or pair idle COUNT".into()),
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
    routes: Option<usize>,
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
        profile: routes.map(|routes| Arc::new(profile(routes))),
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
fn profile(routes: usize) -> Profile {
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
    Profile { routes: (0..routes).map(one).collect(), retry_budget, dst_overrides: Vec::new() }
}

async fn hop(
    listen: SocketAddr,
    to: SocketAddr,
    routes: Option<usize>,
    identity: Option<Identity>,
) -> MainResult {
    let proxy = Proxy::new(config(to, None, routes, identity));
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

async fn pair(listen: SocketAddr, to: SocketAddr) -> MainResult {
    let (ours, theirs) = identities()?;
    let mut between = Tcp.listen("127.0.0.1:0".parse()?).await?;
    let meshed = between.local_addr();
    let server = Proxy::new(config(to, None, Some(10), Some(theirs)));
    tokio::spawn(async move {
        loop {
            if let Ok((io, peer)) = between.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.inbound(io, to, peer).await });
            }
        }
    });
    let client = Proxy::new(config(meshed, Some(NAME), Some(10), Some(ours)));
    outbound(listen, meshed, client).await
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
    let proxies: Vec<_> =
        (0..count).map(|_| Proxy::new(config(to, Some(NAME), Some(10), Some(identity.clone())))).collect();
    std::future::pending::<()>().await;
    drop(proxies);
    Ok(())
}
