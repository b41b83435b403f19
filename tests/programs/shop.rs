//! Three programs in Python, JavaScript and Go, without a line for meshy: they call each other through their proxies.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::lab::Lab;

/// The requests of each part.
const REQUESTS: u64 = 40;

/// The folder in which `tests/programs/install` has installed the programs; by default they are installed now.
fn installed(lab: &Lab) -> String {
    if let Ok(folder) = std::env::var("MESHY_PROGRAMS") {
        return folder;
    }
    let folder = lab.0.path().join("shop").display().to_string();
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/install");
    let status = Command::new(install).arg(&folder).status().expect("the script starts");
    assert!(status.success(), "the programs cannot be installed");
    folder
}

/// A lab with the three programs.
pub(crate) struct Shop {
    pub(crate) lab: Lab,
    pub(crate) port: u16,
}

impl Shop {
    pub(crate) fn up() -> Self {
        let lab = Lab::new();
        let folder = installed(&lab);
        let manifests = format!("{folder}/k8s");
        let programs = [
            format!("registry.example/shop/web:1.4=node {folder}/web/server.js"),
            format!("registry.example/shop/cart={folder}/venv/bin/python {folder}/cart/cart.py"),
            format!("registry.example/shop/price={folder}/price/price"),
        ];
        let mut words = vec!["-f", &manifests];
        programs.iter().for_each(|program| words.extend(["--program", program.as_str()]));
        let up = lab.good_up("", &words);
        let rewritten = up["rewritten"].to_string();
        for expected in
            ["CART_URL: cart:8080 is", "PRICE_URL: price.shop.svc.cluster.local:8080 is", "WEB_URL: web is"]
        {
            assert!(rewritten.contains(expected), "{rewritten}");
        }
        let port = up["lab"]["http_port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        Self { lab, port }
    }

    /// Sends a request and returns its status.
    fn status(&self, request: &str) -> u16 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the ingress");
        let body = if request.starts_with("POST") { "{}" } else { "" };
        let head = format!(
            "{request} HTTP/1.1\r\nHost: shop.example.com\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        response.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.lab.0.good(&format!("{line} -o json"))).expect("JSON")
    }

    /// Sends the requests and returns how many succeeded.
    fn succeeded(&self, request: &str) -> u64 {
        (0..REQUESTS).filter(|_| (200..300).contains(&self.status(request))).count() as u64
    }

    fn edge(&self, to: &str) -> Value {
        let graph = self.json("graph -n shop --window 0s");
        let edges = graph["edges"].as_array().expect("edges").clone();
        edges.into_iter().find(|edge| edge["to"] == to && edge["from"] != "(not meshed)").expect("an edge")
    }
}

#[test]
#[ignore = "needs python, node and go"]
fn three_programs_call_each_other_through_their_proxies() {
    let shop = Shop::up();
    assert_eq!(shop.succeeded("GET /"), REQUESTS * 7 / 10, "3 of 10 requests for a price fail");
    for (to, from) in [("cart", "web"), ("price", "cart"), ("web", "price")] {
        let edge = shop.edge(to);
        assert_eq!((&edge["from"], &edge["mutual_tls"]), (&Value::from(from), &Value::Bool(true)), "{edge}");
    }
    assert_eq!(shop.edge("price")["requests_count"], REQUESTS);
    retries_save_the_failing_get(&shop);
    a_load_shows_the_outcomes_of_a_service_behind_the_called_one(&shop);
    a_failing_post_is_visible_as_a_route(&shop);
}

fn retries_save_the_failing_get(shop: &Shop) {
    shop.lab.0.good("retry apply price -n shop --limit 2");
    let before = shop.json("outcomes price -n shop --window 0s");
    assert_eq!(shop.succeeded("GET /"), REQUESTS, "each failure is saved by a retry");
    let after = shop.json("outcomes price -n shop --window 0s");
    let counted = |name: &str| after[name].as_u64().unwrap_or(0) - before[name].as_u64().unwrap_or(0);
    assert_eq!(counted("requests_count"), REQUESTS, "{after}");
    assert!(counted("after_retries_count") > 0, "{after}");
    assert_eq!(counted("first_attempt_count") + counted("after_retries_count"), REQUESTS, "{after}");
}

fn a_load_shows_the_outcomes_of_a_service_behind_the_called_one(shop: &Shop) {
    let line = format!(
        "traffic 2s --rate 10 --url http://127.0.0.1:{}/ -H Host:shop.example.com --outcomes price -n shop",
        shop.port
    );
    let outcomes = shop.json(&line)["mesh"]["outcomes"].clone();
    assert_eq!(outcomes["requests_count"], 20, "{outcomes}");
    assert!(outcomes["after_retries_count"].as_u64() > Some(0), "{outcomes}");
}

fn a_failing_post_is_visible_as_a_route(shop: &Shop) {
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/shop/profiles.yaml");
    shop.lab.0.good(&format!("sp apply {}", profiles.display()));
    assert_eq!(shop.succeeded("POST /checkout"), REQUESTS / 2, "every second order fails");
    shop.succeeded("GET /");
    let routes = shop.json("routes svc/cart -n shop --window 0s");
    let success = |route: &str| {
        let rows = routes["rows"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["view"] == "client" && row["route"] == route);
        row.and_then(|row| row["effective_success_ratio"].as_f64())
    };
    assert_eq!((success("POST /orders"), success("GET /cart")), (Some(0.5), Some(1.0)), "{routes}");
}
