use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::network::{Fabric, ServiceEntry, ServicePort};
use crate::programs::process::rewrite::references;

/// A pod behind Service `cart:8080` that responds to each request with what it received.
async fn cart(fabric: &Arc<Fabric>) -> Arc<Mutex<Vec<String>>> {
    let pod = PodNetwork::join(fabric, "default", "cart").expect("an address");
    let mut listener = pod.listen(([0, 0, 0, 0], 80).into()).await.expect("a free port");
    let endpoints = vec![(pod.address(), 80).into()];
    let port = |port| ServicePort { port, name: String::new(), endpoints: endpoints.clone() };
    fabric.set_service(Arc::new(ServiceEntry {
        namespace: "default".into(),
        name: "cart".into(),
        cluster_ip: Some(Ipv4Addr::new(10, 96, 0, 9)),
        ports: vec![port(8080), port(9090)],
    }));
    let received: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = received.clone();
    tokio::spawn(async move {
        // Held, so that a client can send another request on the same connection.
        let mut open = Vec::new();
        while let Ok((mut io, _)) = listener.accept().await {
            let seen = seen.clone();
            open.push(tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(count) = io.read(&mut bytes).await
                    && count > 0
                {
                    seen.lock().expect("no panic").push(String::from_utf8_lossy(&bytes[..count]).into_owned());
                    let response = "HTTP/1.1 302 Found\r\nlocation: http://cart:8080/next\r\ncontent-length: 2\r\n\r\nok";
                    io.write_all(response.as_bytes()).await.expect("a response");
                }
            }));
        }
    });
    received
}

async fn opened(fabric: &Arc<Fabric>, values: &[(&str, &str)]) -> (Env, Vec<Opened>, JoinSet<()>) {
    let mut env: Env = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let network = PodNetwork::join(fabric, "default", "web").expect("an address");
    let execution = Execution { network, ..Execution::for_test() };
    let ports = |host: &str| (host == "cart").then(|| vec![8080, 9090]);
    let routes = env.iter().flat_map(|(variable, value)| {
        let routes = references(variable, value, &ports).into_iter();
        routes.map(|reference| Route { variable: variable.clone(), reference }).collect::<Vec<_>>()
    });
    let (routes, mut tasks) = (routes.collect(), JoinSet::new());
    let opened = open(routes, &execution, &mut env, &mut tasks).await.expect("free ports");
    (env, opened, tasks)
}

/// Sends bytes to an address and returns what comes back before the end or 2 responses.
async fn exchange(address: &str, requests: &[&str]) -> String {
    let mut socket = TcpStream::connect(address).await.expect("a listener");
    let mut text = String::new();
    for request in requests {
        socket.write_all(request.as_bytes()).await.expect("a request");
        let mut bytes = [0; 4096];
        let count = socket.read(&mut bytes).await.expect("a response");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    text
}

#[tokio::test]
async fn requests_get_the_authority_of_their_service() {
    let fabric = Fabric::new();
    let received = cart(&fabric).await;
    let (env, opened, _tasks) = opened(&fabric, &[("CART_URL", "http://cart:8080/v1"), ("X", "1")]).await;
    let local = opened[0].local.clone();
    assert_eq!((opened.len(), opened[0].authority.as_str()), (1, "cart:8080"));
    assert_eq!(env["CART_URL"], format!("http://{local}/v1"));
    let request = format!("GET /v1/a HTTP/1.1\r\nHost: {local}\r\n\r\n");
    let responses = exchange(&local, &[&request, &request]).await;
    assert_eq!(responses.matches("302 Found").count(), 2, "{responses}");
    assert!(responses.contains(&format!("location: http://{local}/next")), "{responses}");
    let received = received.lock().expect("no panic").clone();
    assert!(received.iter().all(|request| request.starts_with("GET /v1/a HTTP/1.1\r\nhost: cart:8080\r\n")));
}

#[tokio::test]
async fn other_protocols_pass_unchanged() {
    let fabric = Fabric::new();
    let received = cart(&fabric).await;
    let (_, opened, _tasks) = opened(&fabric, &[("QUEUE", "redis://cart:9090"), ("Q2", "cart:9090")]).await;
    for opened in &opened {
        exchange(&opened.local, &["*1\r\n$4\r\nPING\r\n"]).await;
    }
    assert_eq!(*received.lock().expect("no panic"), ["*1\r\n$4\r\nPING\r\n"; 2]);
}

#[tokio::test]
async fn one_value_can_name_several_services_and_a_service_that_does_not_exist() {
    let fabric = Fabric::new();
    let received = cart(&fabric).await;
    let (env, opened, _tasks) =
        opened(&fabric, &[("URLS", "http://cart:8080,http://later:80,http://cart:8080")]).await;
    let (cart, later) = (opened[0].local.clone(), opened[1].local.clone());
    assert_eq!(env["URLS"], format!("http://{cart},http://{later},http://{cart}"));
    let response = exchange(&later, &["GET / HTTP/1.1\r\nHost: x\r\n\r\n"]).await;
    assert!(response.starts_with("HTTP/1.1 502") && response.contains("no such host: later"), "{response}");
    assert!(received.lock().expect("no panic").is_empty());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_alone_becomes_an_address_with_the_ports_of_the_service() {
    let fabric = Fabric::new();
    let received = cart(&fabric).await;
    let (env, _, _tasks) = opened(&fabric, &[("CART_HOST", "cart")]).await;
    let address = &env["CART_HOST"];
    assert!(address.starts_with("127.66."), "{address}");
    exchange(&format!("{address}:8080"), &["GET / HTTP/1.1\r\nHost: x\r\n\r\n"]).await;
    assert!(received.lock().expect("no panic")[0].contains("host: cart:8080"));
}

#[tokio::test]
async fn the_http_proxy_sends_requests_to_the_host_of_their_uri() {
    let fabric = Fabric::new();
    let received = cart(&fabric).await;
    let network = PodNetwork::join(&fabric, "default", "web").expect("an address");
    let execution = Execution { network, ..Execution::for_test() };
    let (mut env, mut tasks) = (Env::new(), JoinSet::new());
    open_http_proxy(&execution, &mut env, &mut tasks).await.expect("a free port");
    let address = env["HTTP_PROXY"].strip_prefix("http://").expect("a URL").to_owned();
    exchange(&address, &["GET http://cart:8080/a HTTP/1.1\r\nHost: cart:8080\r\n\r\n"]).await;
    assert!(received.lock().expect("no panic")[0].starts_with("GET /a HTTP/1.1\r\nhost: cart:8080"));
}
