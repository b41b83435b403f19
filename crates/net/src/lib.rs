//! Where bytes come from and go to: [`Network`] is `resolve`, `connect` and `listen`.
//!
//! The test service and the data plane are written against this trait. [`Tcp`] is the machine's own network; the
//! embedded cluster brings another one whose addresses (pods in 10.244.0.0/16, services in 10.96.0.0/16) exist only
//! inside the process.
//!
//! ```text
//!   minimal-service ─┐                ┌─ Tcp            (the image's binary, the benches)
//!   dataplane ───────┴─ dyn Network ──┴─ embedded's     (in-memory streams between task pods)
//! ```

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

mod tcp;

pub use tcp::Tcp;

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A byte stream whose kind is known only at run time.
pub type BoxIo = Box<dyn Io>;

/// A future that can be stored and sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A network as one of its members sees it: a pod's, or the machine's.
pub trait Network: Send + Sync + 'static {
    /// The addresses of a host name or of an address in text form.
    ///
    /// # Errors
    /// `NotFound` when no such host is known.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;

    /// Opens a stream to an address.
    ///
    /// # Errors
    /// `ConnectionRefused` when nothing listens there; no deadline is set here.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxIo>>;

    /// Listens on an address of this member; port 0 takes a free one.
    ///
    /// # Errors
    /// `AddrInUse` when another listener has it.
    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;
}

/// A network shared by the tasks of one member.
pub type SharedNetwork = Arc<dyn Network>;

/// Accepts streams; dropping it frees the address.
pub trait Listener: Send + 'static {
    /// The next stream and the address of its other end.
    ///
    /// # Errors
    /// As the system's `accept`; a single error does not end the listener.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>>;

    /// The address listened on, its port never 0.
    fn local_addr(&self) -> SocketAddr;
}
