//! Serves an empty API on loopback until stopped: `serve [PORT] KUBECONFIG`. Prints `ready` when it accepts requests.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use meshy_apiserver::{CertificateAuthority, Options, Server, kubeconfig};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, file) = match arguments.as_slice() {
        [file] => (0, file),
        [port, file] => (port.parse()?, file),
        _ => return Err("usage: serve [PORT] KUBECONFIG".into()),
    };
    let server = Server::new(Options::default());
    let authority = CertificateAuthority::new()?;
    let running = server.serve(tokio::net::TcpListener::bind(("127.0.0.1", port)).await?, &authority)?;
    let config = kubeconfig("embedded", &running.url(), &authority, server.token());
    let mut output =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    output.write_all(config.to_string().as_bytes())?;
    writeln!(std::io::stdout(), "ready")?;
    std::future::pending::<()>().await;
    Ok(())
}
