//! Connections: each worker has one to each target over HTTP/1.1; over HTTP/2 all workers share one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use meshy_net::{BoxIo, SharedNetwork};

use super::target::{Protocol, Server, Target};

/// How many bytes of a response are read at once, and so the longest head, over HTTP/1.1. hyper reads up to 400 KiB and handles all of
/// it in one go: with thousands of interim responses in it, the other requests of the thread and their time limits wait for that.
const BUFFER: usize = 32 * 1024;

type Body = Full<Bytes>;

/// A connection that is polled by the request that uses it, so that a response wakes one task and not two.
pub(crate) struct Http1 {
    pub(crate) sender: http1::SendRequest<Body>,
    pub(crate) connection: http1::Connection<TokioIo<BoxIo>, Body>,
}

/// A connection that can send a request.
pub(crate) enum Open {
    Http1(Box<Http1>),
    #[cfg(feature = "http2")]
    Http2(hyper::client::conn::http2::SendRequest<Body>),
}

/// What the workers share to connect.
pub(crate) struct Connector {
    network: SharedNetwork,
    #[cfg(feature = "http2")]
    shared: Vec<tokio::sync::Mutex<Option<hyper::client::conn::http2::SendRequest<Body>>>>,
    /// Drive the shared connections; dropping the set closes them.
    #[cfg(feature = "http2")]
    driving: std::sync::Mutex<tokio::task::JoinSet<()>>,
}

impl Connector {
    #[cfg_attr(not(feature = "http2"), expect(unused_variables))]
    pub(crate) fn new(network: SharedNetwork, targets: usize) -> Self {
        Self {
            network,
            #[cfg(feature = "http2")]
            shared: (0..targets).map(|_| tokio::sync::Mutex::default()).collect(),
            #[cfg(feature = "http2")]
            driving: std::sync::Mutex::default(),
        }
    }

    /// Returns a connection to a target; `own` is the one that the worker used before.
    pub(crate) async fn open(
        &self,
        index: usize,
        target: &Target,
        own: Option<Open>,
    ) -> anyhow::Result<Open> {
        if let Some(mut own) = own
            && own.is_alive().await
        {
            return Ok(own);
        }
        #[cfg(feature = "http2")]
        if target.protocol != Protocol::Http1 {
            // Held while connecting, so that the workers make one connection and not one each.
            let mut shared = self.shared[index].lock().await;
            if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
                return Ok(Open::Http2(sender.clone()));
            }
            let open = self.connect(target).await?;
            if let Open::Http2(sender) = &open {
                *shared = Some(sender.clone());
            }
            return Ok(open);
        }
        self.connect(target).await
    }

    async fn connect(&self, target: &Target) -> anyhow::Result<Open> {
        let stream = self.stream(&target.server).await?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &target.tls {
            let offered: &[&str] = match target.protocol {
                Protocol::Http1 => &["http/1.1"],
                Protocol::Http2 => &["h2"],
                Protocol::Negotiated => &["h2", "http/1.1"],
            };
            let stream = tls.connect(target.host(), offered, stream).await?;
            let http2 = super::tls::chose_http2(&stream);
            anyhow::ensure!(http2 || target.protocol != Protocol::Http2, "the server did not choose HTTP/2");
            return self.handshake(Box::new(stream), http2).await;
        }
        self.handshake(stream, target.protocol == Protocol::Http2).await
    }

    async fn stream(&self, server: &Server) -> anyhow::Result<BoxIo> {
        let address = match server {
            Server::Address(address) => *address,
            Server::Name(host, port) => {
                let found =
                    self.network.resolve(host).await.with_context(|| format!("cannot resolve `{host}`"))?;
                let first = found.first().with_context(|| format!("host `{host}` has no address"))?;
                SocketAddr::new(*first, *port)
            }
        };
        Ok(self.network.connect(address).await?)
    }

    async fn handshake(&self, stream: BoxIo, http2: bool) -> anyhow::Result<Open> {
        if http2 {
            #[cfg(feature = "http2")]
            return self.handshake_http2(stream).await;
            #[cfg(not(feature = "http2"))]
            anyhow::bail!("this sender was built without HTTP/2");
        }
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(BUFFER);
        let (sender, connection) = http1.handshake(TokioIo::new(stream)).await?;
        Ok(Open::Http1(Box::new(Http1 { sender, connection })))
    }

    #[cfg(feature = "http2")]
    async fn handshake_http2(&self, stream: BoxIo) -> anyhow::Result<Open> {
        use hyper_util::rt::TokioExecutor;
        let io = TokioIo::new(stream);
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        let mut driving = self.driving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while driving.try_join_next().is_some() {}
        driving.spawn(async move {
            // Its error is that of the requests that are open.
            let _ = connection.await;
        });
        Ok(Open::Http2(sender))
    }
}

impl Open {
    /// Whether the connection is open. A server may have closed an idle one; that is not a failure of a request that was not
    /// sent yet.
    async fn is_alive(&mut self) -> bool {
        match self {
            Self::Http1(open) => {
                let pending = std::future::poll_fn(|context: &mut Context<'_>| {
                    Poll::Ready(Pin::new(&mut open.connection).poll(context).is_pending())
                });
                pending.await && !open.sender.is_closed()
            }
            #[cfg(feature = "http2")]
            Self::Http2(sender) => !sender.is_closed(),
        }
    }
}

/// Whether this machine has no file descriptor or port left, which is not a failure of the server.
pub(crate) fn is_exhausted(error: &anyhow::Error) -> bool {
    // ENFILE, EMFILE and EADDRNOTAVAIL of Linux.
    let codes = [23, 24, 99];
    let code = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>()?.raw_os_error();
    error.chain().filter_map(code).any(|code| codes.contains(&code))
}
