//! Byte streams between addresses: [`Network`] resolves, connects and listens. [`grpc_status_name`] has the names that both
//! ends of a stream give to the statuses of gRPC.
//!
//! The test service and the data plane use this trait. [`Tcp`] is the network of the machine; the embedded cluster has an
//! implementation whose addresses (pods in 10.244.0.0/16, services in 10.96.0.0/16) exist only inside the process.
//!
//! ```text
//!   minimal-service ─┐                ┌─ Tcp            (the image's binary, the benches)
//!   dataplane ───────┴─ dyn Network ──┴─ embedded's     (in-memory streams between pods)
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

mod grpc;
mod tcp;

pub use grpc::grpc_status_name;
pub use tcp::Tcp;

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A byte stream whose type is known at run time.
pub type BoxIo = Box<dyn Io>;

/// A future that can be stored and sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The network of one member: of a pod, or of the machine.
pub trait Network: Send + Sync + 'static {
    /// Returns the addresses of a host name or of an address in text form.
    ///
    /// # Errors
    /// `NotFound` if the host is unknown.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;

    /// Opens a stream to an address. It has no timeout.
    ///
    /// # Errors
    /// `ConnectionRefused` without a listener.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxIo>>;

    /// Listens on an address of this member; port 0 is replaced by a free port.
    ///
    /// # Errors
    /// `AddrInUse` if another listener uses the address.
    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;
}

/// A network shared by the tasks of one member.
pub type SharedNetwork = Arc<dyn Network>;

/// Accepts streams. Dropping it frees the address.
pub trait Listener: Send + 'static {
    /// Returns the next stream and the address of its peer.
    ///
    /// # Errors
    /// As the system's `accept`; the listener can be used after an error.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>>;

    /// Returns the address of the listener; its port is never 0.
    fn local_addr(&self) -> SocketAddr;
}
