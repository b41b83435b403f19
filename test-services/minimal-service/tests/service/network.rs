//! An in-memory network with host names.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use meshy_net::{BoxFuture, BoxIo, Listener, Network};
use tokio::io::duplex;
use tokio::sync::mpsc;

/// The network that all hosts share.
#[derive(Default)]
pub(crate) struct Wire {
    listeners: Mutex<HashMap<SocketAddr, mpsc::UnboundedSender<BoxIo>>>,
    names: Mutex<HashMap<String, IpAddr>>,
    /// Streams opened so far.
    pub(crate) connects: AtomicUsize,
}

/// One host of the network.
pub(crate) struct Host {
    wire: Arc<Wire>,
    address: IpAddr,
}

struct Port {
    wire: Arc<Wire>,
    address: SocketAddr,
    streams: mpsc::UnboundedReceiver<BoxIo>,
}

impl Wire {
    /// Adds a host with a name and the next free address; a name that exists keeps its address.
    pub(crate) fn join(self: &Arc<Self>, name: &str) -> Host {
        let mut names = self.names.lock().unwrap();
        let address = IpAddr::from([10, 0, 0, u8::try_from(names.len()).unwrap() + 1]);
        let address = *names.entry(name.to_owned()).or_insert(address);
        Host { wire: self.clone(), address }
    }

    pub(crate) fn address(&self, name: &str, port: u16) -> SocketAddr {
        SocketAddr::new(self.names.lock().unwrap()[name], port)
    }

    /// Returns the number of streams opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.connects.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self, to: SocketAddr) -> Result<BoxIo> {
        let (near, far) = duplex(64 << 10);
        let listeners = self.listeners.lock().unwrap();
        let listener = listeners.get(&to).ok_or(Error::from(ErrorKind::ConnectionRefused))?;
        listener.send(Box::new(far)).map_err(|_| Error::from(ErrorKind::ConnectionRefused))?;
        self.connects.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(near))
    }
}

impl Network for Host {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>>> {
        let address = self.wire.names.lock().unwrap().get(host).copied();
        Box::pin(async move { Ok(vec![address.ok_or(Error::from(ErrorKind::NotFound))?]) })
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, Result<BoxIo>> {
        Box::pin(async move { self.wire.open(to) })
    }

    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        let address = SocketAddr::new(self.address, on.port());
        Box::pin(async move {
            let mut listeners = self.wire.listeners.lock().unwrap();
            if listeners.contains_key(&address) {
                return Err(ErrorKind::AddrInUse.into());
            }
            let (sender, streams) = mpsc::unbounded_channel();
            listeners.insert(address, sender);
            Ok(Box::new(Port { wire: self.wire.clone(), address, streams }) as Box<dyn Listener>)
        })
    }
}

impl Listener for Port {
    fn accept(&mut self) -> BoxFuture<'_, Result<(BoxIo, SocketAddr)>> {
        Box::pin(async move {
            let stream = self.streams.recv().await.ok_or(Error::from(ErrorKind::BrokenPipe))?;
            Ok((stream, SocketAddr::from(([10, 0, 0, 0], 1))))
        })
    }

    fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.wire.listeners.lock().unwrap().remove(&self.address);
    }
}
