//! Runs the requests of `docs/test-service.md` and compares the responses with the page.

use http::Request;
use minimal_service::Config;
use serde_json::Value;

use crate::lab::Lab;

const PAGE: &str = include_str!("../../../../docs/test-service.md");

/// A request of the page and its expected response.
struct Exchange<'a> {
    text: &'a str,
    request: (&'a str, &'a str),
    request_headers: Vec<(&'a str, &'a str)>,
    request_body: String,
    status: &'a str,
    response_headers: Vec<(&'a str, &'a str)>,
    response_body: String,
}

#[tokio::test]
async fn every_exchange_of_the_page_matches_the_service() {
    let lab = Lab::default();
    let _minimal = lab.start("minimal-service", &[]).await;
    let _bounced = lab.start("bounced-service", &[("SEQUENCE", "500,500,200")]).await;
    let node = PAGE.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let _cart = lab.start("cart", &[("NODE", node)]).await;
    let _price = lab.start("price", &[("NODE", r#"{"name":"price"}"#)]).await;
    let mut run = 0;
    for exchange in exchanges() {
        let (method, path) = exchange.request;
        let host =
            exchange.request_headers.iter().find(|(name, _)| *name == "Host").expect("a Host header").1;
        let (name, port) = host.split_once(':').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &exchange.request_headers {
            request = request.header(*name, *value);
        }
        let response = lab.send(name, port.parse().unwrap(), request, &exchange.request_body).await;
        let text = exchange.text;
        assert_eq!(response.status.as_str(), exchange.status, "{text}");
        for (name, value) in &exchange.response_headers {
            assert_eq!(response.header(name), *value, "{name} of\n{text}");
        }
        match serde_json::from_str::<Value>(&exchange.response_body) {
            Ok(expected) => {
                assert!(contains(&response.json(), &expected), "{}\ndoes not match\n{text}", response.body);
            }
            Err(_) => assert!(
                matches(&response.body, &exchange.response_body),
                "{}\ndoes not match\n{text}",
                response.body
            ),
        }
        run += 1;
    }
    assert_eq!(run, PAGE.matches("```http").count());
}

#[test]
fn every_variable_is_on_the_page() {
    let config = include_str!("../../src/config.rs");
    let arms = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => ").map(|arm| arm.0));
    let mut count = 0;
    for variable in arms {
        assert!(PAGE.contains(&format!("| `{variable}` |")), "{variable}");
        count += 1;
    }
    assert_eq!(count, 13, "variables that the configuration reads");
}

/// The keys are those of the JSON of a running service, so a key that is added has to be described.
#[tokio::test]
async fn every_key_of_the_admin_port_and_of_a_node_is_on_the_page() {
    let lab = Lab::default();
    let node =
        r#"{"name":"a","script":[{"call":{"service":"a","url":"http://a/"}}],"capacity":{"workers":1}}"#;
    let _a = lab.start("a", &[("NODE", node)]).await;
    let node = Config::from_env([("NODE".to_owned(), node.to_owned())]).unwrap().node;
    let node = serde_json::to_value(node).unwrap();
    let documents =
        [lab.admin("a", "/fault").await, lab.admin("a", "/counts").await, node["capacity"].clone(), node];
    let mut count = 0;
    for key in documents.iter().flat_map(|document| document.as_object().unwrap().keys()) {
        assert!(PAGE.contains(&format!("`{key}`")), "{key}");
        count += 1;
    }
    for key in documents[3]["script"][0]["call"].as_object().unwrap().keys() {
        assert!(PAGE.contains(&format!("`call.{key}`")), "{key}");
        count += 1;
    }
    assert_eq!(count, 10 + 19 + 5 + 5 + 5, "keys of faults, counts, capacity, node and call");
}

fn exchanges() -> impl Iterator<Item = Exchange<'static>> {
    let blocks = PAGE.split("```http\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|text| {
        let (request, response) = text.split_once("\nHTTP/1.1 ").expect("a response");
        let (line, request) = request.split_once('\n').unwrap();
        let mut words = line.split(' ');
        let method_and_path = (words.next().unwrap(), words.next().unwrap());
        let (status, response) = response.split_once('\n').unwrap();
        let (request_headers, request_body) = head(request);
        let (response_headers, response_body) = head(response);
        let status = &status[..3];
        Exchange {
            text,
            request: method_and_path,
            request_headers,
            request_body,
            status,
            response_headers,
            response_body,
        }
    })
}

/// Returns the headers up to the empty line, and the body after it.
fn head(text: &str) -> (Vec<(&str, &str)>, String) {
    let no_headers = text.strip_prefix('\n').map(|body| ("", body));
    let (head, body) = no_headers.or_else(|| text.split_once("\n\n")).unwrap_or((text, ""));
    (head.lines().filter_map(|line| line.split_once(": ")).collect(), body.trim_end().to_owned())
}

/// Returns whether the JSON contains all that is expected; `…` matches any value.
fn contains(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (_, Value::String(anything)) if anything == "…" => true,
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| contains(found, value)))
        }
        _ => found == expected,
    }
}

/// Returns whether the text matches the expected lines; `…` matches the rest of a line.
fn matches(found: &str, expected: &str) -> bool {
    // The page does not show the length of the request, which depends on the client.
    let lines = found.trim_end().lines().filter(|line| !line.starts_with("Content-Length: "));
    let (found, expected): (Vec<_>, Vec<_>) = (lines.collect(), expected.lines().collect());
    found.len() == expected.len()
        && found.iter().zip(&expected).all(|(found, expected)| match expected.split_once('…') {
            Some((start, _)) => found.starts_with(start),
            None => found == expected,
        })
}
