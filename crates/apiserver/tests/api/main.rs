//! The API through kube-rs without a socket, over HTTPS, and through the in-process client.

mod admission;
mod custom_resources;
mod kube_client;
mod pods;
mod requests;

use meshy_apiserver::Server;

fn client(server: &Server) -> kube::Client {
    kube::Client::new(server.service(), "default")
}
