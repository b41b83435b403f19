//! An in-memory network, servers, services, proxies and a client.

mod lab;
mod network;
mod scrape;
mod server;

pub(crate) use lab::{Client, ClientResponse, Lab, Service, WEB, endpoint, route};
pub(crate) use network::{Memory, Never};
pub(crate) use scrape::{label_names, scrape, sum};
pub(crate) use server::{Responder, Server, serve_http, serve_raw};
