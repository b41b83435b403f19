//! The exchanges of `docs/test-service.md`, as they stand there.

use http::Request;
use serde_json::Value;

use crate::lab::Lab;

const PAGE: &str = include_str!("../../../../docs/test-service.md");

/// A request and what the page says comes back.
struct Exchange<'a> {
    text: &'a str,
    request: (&'a str, &'a str),
    request_headers: Vec<(&'a str, &'a str)>,
    request_body: String,
    status: &'a str,
    answer_headers: Vec<(&'a str, &'a str)>,
    answer_body: String,
}

#[tokio::test]
async fn every_exchange_on_the_page_is_true() {
    let lab = Lab::default();
    let _minimal = lab.start("minimal-service", &[]).await;
    let _bounced = lab.start("bounced-service", &[("SEQUENCE", "500,500,200")]).await;
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
        let reply = lab.ask(name, port.parse().unwrap(), request, &exchange.request_body).await;
        let shown = exchange.text;
        assert_eq!(reply.status.as_str(), exchange.status, "{shown}");
        for (name, value) in &exchange.answer_headers {
            assert_eq!(reply.header(name), *value, "{name} of\n{shown}");
        }
        match serde_json::from_str::<Value>(&exchange.answer_body) {
            Ok(expected) => {
                assert!(holds(&reply.json(), &expected), "{}\nis not what follows\n{shown}", reply.body)
            }
            Err(_) => assert!(
                fits(&reply.body, &exchange.answer_body),
                "{}\nis not what follows\n{shown}",
                reply.body
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
    let mut seen = 0;
    for variable in arms {
        assert!(PAGE.contains(&format!("| `{variable}` |")), "{variable}");
        seen += 1;
    }
    assert_eq!(seen, 10, "variables that the configuration reads");
}

fn exchanges() -> impl Iterator<Item = Exchange<'static>> {
    let blocks = PAGE.split("```http\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|text| {
        let (asked, answered) = text.split_once("\nHTTP/1.1 ").expect("an answer");
        let (line, asked) = asked.split_once('\n').unwrap();
        let mut words = line.split(' ');
        let request = (words.next().unwrap(), words.next().unwrap());
        let (status, answered) = answered.split_once('\n').unwrap();
        let (request_headers, request_body) = head(asked);
        let (answer_headers, answer_body) = head(answered);
        let status = &status[..3];
        Exchange { text, request, request_headers, request_body, status, answer_headers, answer_body }
    })
}

/// Headers up to the empty line, and the body behind it.
fn head(text: &str) -> (Vec<(&str, &str)>, String) {
    let headless = text.strip_prefix('\n').map(|body| ("", body));
    let (head, body) = headless.or_else(|| text.split_once("\n\n")).unwrap_or((text, ""));
    (head.lines().filter_map(|line| line.split_once(": ")).collect(), body.trim_end().to_owned())
}

/// Whether JSON holds all that is expected; `…` is anything.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (_, Value::String(anything)) if anything == "…" => true,
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| holds(found, value)))
        }
        _ => found == expected,
    }
}

/// Whether text is as expected line by line; `…` is anything up to the line's end.
fn fits(found: &str, expected: &str) -> bool {
    // What says the request's length depends on the client, and the page leaves it out.
    let lines = found.trim_end().lines().filter(|line| !line.starts_with("Content-Length: "));
    let (found, expected): (Vec<_>, Vec<_>) = (lines.collect(), expected.lines().collect());
    found.len() == expected.len()
        && found.iter().zip(&expected).all(|(found, expected)| match expected.split_once('…') {
            Some((start, _)) => found.starts_with(start),
            None => found == expected,
        })
}
