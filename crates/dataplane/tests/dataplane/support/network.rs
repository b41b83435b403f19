//! An in-memory network, and one on which no connection opens.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use meshy_net::{BoxFuture, BoxIo, Listener, Network};
use tokio::sync::mpsc;

type Accepted = mpsc::UnboundedReceiver<BoxIo>;

/// An in-memory network; clones are the same network.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<HashMap<SocketAddr, mpsc::UnboundedSender<BoxIo>>>>);

impl Memory {
    /// Listens at an address and returns the accepted connections.
    pub(crate) fn listen_at(&self, addr: SocketAddr) -> Accepted {
        let (sender, accepted) = mpsc::unbounded_channel();
        self.0.lock().unwrap().insert(addr, sender);
        accepted
    }
}

impl Network for Memory {
    fn resolve<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Err(io::ErrorKind::NotFound.into()) })
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxIo>> {
        let listener = self.0.lock().unwrap().get(&to).cloned();
        Box::pin(async move {
            let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (near, far) = tokio::io::duplex(64 * 1024);
            listener.send(Box::new(far)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(near) as BoxIo)
        })
    }

    fn listen(&self, _on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// A network on which no connection opens.
pub(crate) struct Never;

impl Network for Never {
    fn resolve<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::pending())
    }

    fn connect(&self, _to: SocketAddr) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(std::future::pending())
    }

    fn listen(&self, _on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(std::future::pending())
    }
}
