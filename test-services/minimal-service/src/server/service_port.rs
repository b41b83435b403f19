//! The service port, which is closed while the service is down.

use std::net::SocketAddr;
use std::sync::Arc;

use meshy_net::{BoxIo, Listener, SharedNetwork};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::{ACCEPT_PAUSE, MAX_CONNECTIONS, Port, accept, serve_connection};
use crate::fault::Outage;
use crate::state::{Listening, Phase, State, Work};

/// The service port with its connections and the work of their requests. Dropping it closes and stops them.
pub(crate) struct ServicePort {
    state: Arc<State>,
    network: SharedNetwork,
    address: SocketAddr,
    /// `None` while the service is down.
    listener: Option<Box<dyn Listener>>,
    works: mpsc::UnboundedReceiver<Work>,
    connections: JoinSet<()>,
    running: JoinSet<()>,
}

impl ServicePort {
    pub(crate) fn new(
        state: Arc<State>,
        network: SharedNetwork,
        listener: Box<dyn Listener>,
        works: mpsc::UnboundedReceiver<Work>,
    ) -> Self {
        // The port of the listener: that of the configuration can be 0.
        let address = ([0, 0, 0, 0], listener.local_addr().port()).into();
        let listener = Some(listener);
        let (connections, running) = (JoinSet::new(), JoinSet::new());
        Self { state, network, address, listener, works, connections, running }
    }

    /// Serves until the service closes and the connections of the port have ended. Work whose client disconnected is then
    /// stopped.
    pub(crate) async fn serve(mut self) {
        loop {
            let end = match self.state.ledger().faults.outage() {
                Outage::None => None,
                Outage::Down(end) => Some(end),
            };
            match end {
                Some(_) => self.close(),
                None => self.open().await,
            }
            let changed = async {
                match end.flatten() {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                stream = next(&mut self.listener, &self.state), if self.connections.len() < MAX_CONNECTIONS => {
                    let outages = self.state.door.borrow().outages;
                    self.connections.spawn(serve_connection(Port::Service, stream, self.state.clone(), outages));
                }
                Some(work) = self.works.recv() => { self.running.spawn(work); }
                Some(_) = self.connections.join_next() => {}
                Some(_) = self.running.join_next() => {}
                () = self.state.fault_changed.notified() => {}
                () = changed => {}
                () = self.state.wait_for(Phase::Closing) => break,
            }
        }
        self.listener = None;
        while !self.connections.is_empty() {
            tokio::select! {
                Some(work) = self.works.recv() => { self.running.spawn(work); }
                Some(_) = self.connections.join_next() => {}
                Some(_) = self.running.join_next() => {}
            }
        }
    }

    /// Closes the listener. Connections close with the response to their open request, idle ones at once.
    fn close(&mut self) {
        if self.listener.take().is_none() {
            return;
        }
        self.state.log(format!("WARN service is down, connections to {} are refused", self.address));
        self.state.door.send_modify(|door| *door = Listening { open: false, outages: door.outages + 1 });
    }

    /// Listens again after the service was down. If that fails, the next call tries again.
    async fn open(&mut self) {
        if self.listener.is_some() {
            return;
        }
        match self.network.listen(self.address).await {
            Ok(listener) => {
                self.listener = Some(listener);
                self.state.log(format!("INFO service listens on {} again", self.address));
                self.state.door.send_modify(|door| door.open = true);
            }
            Err(error) => {
                self.state.log(format!("ERROR cannot listen on {} again: {error}", self.address));
                sleep(ACCEPT_PAUSE).await;
                self.state.fault_changed.notify_one();
            }
        }
    }
}

/// Returns the next connection, without a listener never.
async fn next(listener: &mut Option<Box<dyn Listener>>, state: &State) -> BoxIo {
    match listener {
        Some(listener) => accept(listener, Port::Service, state).await,
        None => std::future::pending().await,
    }
}
