//! The API through kube-rs without a socket, over HTTPS, and through the in-process client.

mod admission;
mod custom_resources;
mod events;
mod kube_client;
mod last_applied;
mod metadata;
mod openapi;
mod pods;
mod requests;
mod reviews;
mod service_proxy;
mod system;

use meshy_apiserver::Server;

fn client(server: &Server) -> kube::Client {
    kube::Client::new(server.service(), "default")
}
