//! A network in memory, servers, services, proxies and a client.

mod lab;
mod network;
mod scrape;
mod server;

pub(crate) use lab::{Client, Lab, Reply, Service, WEB, endpoint, route};
pub(crate) use network::{Memory, Never};
pub(crate) use scrape::{label_names, scrape, sum};
pub(crate) use server::{Answers, Server, serve_http, serve_raw};
