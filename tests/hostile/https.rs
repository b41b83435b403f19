//! A client of an embedded lab's API, one connection at a time.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::home::Home;

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// The API and the process of a lab.
pub(crate) struct Lab {
    address: String,
    token: String,
    config: Arc<ClientConfig>,
    /// Where the ingress listens.
    pub(crate) ingress: String,
    /// The cluster's process.
    pub(crate) process: u32,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// How many header lines it has.
    pub(crate) headers: usize,
    pub(crate) body: String,
}

impl Lab {
    /// The lab `meshy`, which runs in this home.
    pub(crate) fn of(home: &Home) -> Self {
        let text = fs::read_to_string(home.kubeconfig()).expect("a kubeconfig");
        let config: Value = serde_yaml::from_str(&text).expect("YAML");
        let cluster = &config["clusters"][0]["cluster"];
        let url = cluster["server"].as_str().expect("a server");
        let authority = cluster["certificate-authority-data"].as_str().expect("an authority");
        let authority = BASE64_STANDARD.decode(authority).expect("base64");
        let token = config["users"][0]["user"]["token"].as_str().expect("a token").to_owned();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&authority).expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
        let record = fs::read_to_string(home.lab("meshy").join("lab.json")).expect("a record");
        let record: Value = serde_json::from_str(&record).expect("JSON");
        let process = fs::read_to_string(home.lab("meshy").join("embedded.lock")).expect("a process");
        Self {
            address: url.trim_start_matches("https://").trim_end_matches('/').to_owned(),
            token,
            config: Arc::new(tls),
            ingress: format!("127.0.0.1:{}", record["http_port"]),
            process: process.trim().parse().expect("a number"),
        }
    }

    /// A connection after its TLS handshake. `limit` bounds each read and write.
    pub(crate) fn connect(&self, limit: Duration) -> io::Result<Tls> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let mut connection = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    /// Sends a request with the token and reads the response.
    pub(crate) fn request(&self, method: &str, path: &str, kind: &str, body: &str) -> io::Result<Response> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            self.token,
            body.len()
        );
        self.send(&[head.as_bytes(), body.as_bytes()].concat(), Duration::from_secs(120))
    }

    /// Sends bytes and reads the response.
    pub(crate) fn send(&self, bytes: &[u8], limit: Duration) -> io::Result<Response> {
        let mut stream = self.connect(limit)?;
        // The server may respond before it has read everything.
        let _ = stream.write_all(bytes);
        let mut response = Vec::new();
        let mut piece = [0; 65536];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => response.extend_from_slice(&piece[..count]),
                Err(error) if response.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        parse(&response).ok_or_else(|| io::Error::other("the connection ended without a response"))
    }

    /// The token, for a request that is written by hand.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

/// Returns a response that has ended with its connection.
pub(crate) fn parse(bytes: &[u8]) -> Option<Response> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, headers: head.lines().count() - 1, body: body.to_owned() })
}
