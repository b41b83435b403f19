use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn pod(name: &str) -> Pod {
    Pod::example("shop", name)
}

/// A response with these series of namespace `shop`: pod, name, value.
fn response(at: f64, series: &[(&str, &str, f64)]) -> String {
    let sample = |(pod, name, value): &(&str, &str, f64)| {
        format!(
            r#"{{"metric":{{"__name__":"{name}","namespace":"shop","pod":"{pod}","job":"x"}},"value":[{at},"{value}"]}}"#
        )
    };
    let samples: Vec<String> = series.iter().map(sample).collect();
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, samples.join(","))
}

/// A server that sends one of these responses to each connection, in order, and keeps the first line of the requests.
async fn server(status: &'static str, responses: Vec<String>) -> (Prometheus, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = lines.clone();
    tokio::spawn(async move {
        for body in responses {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            let head = String::from_utf8(head).expect("text");
            kept.lock().expect("a lock").push(head.lines().next().unwrap_or_default().to_owned());
            let text = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(text.as_bytes()).await.expect("a response");
        }
    });
    (Prometheus::new(url(&format!("http://{address}/prom/")).expect("a URL")).expect("a client"), lines)
}

#[test]
fn samples_become_the_counters_of_their_pods() {
    let text = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"__name__":"request_total","namespace":"shop","pod":"a","direction":"inbound","note":"x\"y"},"value":[1.5,"3"]},
        {"metric":{"__name__":"request_total","namespace":"shop","pod":"b","direction":"inbound","job":"x"},"value":[1.5,"4"]},
        {"metric":{"__name__":"go_goroutines","namespace":"shop","pod":"a"},"value":[1.5,"4"]},
        {"metric":{"__name__":"request_total","namespace":"shop","pod":"b","direction":"outbound"},"value":[1.5,"NaN"]}]}}"#;
    let response: Response = serde_json::from_str(text).expect("JSON");
    let all = scrapes(response.data.result);
    let of = |pod: &str| &all[&("shop".to_owned(), pod.to_owned())];
    assert_eq!(of("a").sum("request_total", |series| series.is("note", "x\"y")), 3.0);
    assert_eq!((of("a").len(), of("b").len()), (1, 1));
    assert_eq!(of("b").to_text().trim(), r#"request_total{direction="inbound"} 4"#);
}

#[test]
fn the_selector_has_each_family_that_is_read() {
    let selector = selector();
    for family in [
        "request_",
        "inbound_http_authz_deny_",
        "outbound_http_balancer_endpoints",
        "process_start_time_seconds",
    ] {
        assert!(families::kind(family).is_some() && selector.contains(family), "{family}: {selector}");
    }
    assert!(selector.ends_with(").*\",namespace!=\"\",pod!=\"\"}"), "{selector}");
}

#[test]
fn a_query_has_only_characters_of_a_url() {
    assert_eq!(percent_encoded("a{b=~\"c\"}"), "a%7Bb%3D%7E%22c%22%7D");
}

#[test]
fn what_is_not_the_url_of_a_server_is_invalid() {
    for text in ["", "127.0.0.1:9090", "ftp://x", "http://", "http://x/?a=b", "http://me:secret@x"] {
        let error = url(text).expect_err(text).to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_window_is_the_difference_of_two_queries_by_the_clock_of_the_server() {
    let started = "process_start_time_seconds";
    let now = response(
        1000.0,
        &[
            ("a", "request_total", 9.0),
            ("a", started, 1.0),
            ("new", "request_total", 2.0),
            ("new", started, 980.0),
            ("unseen", "request_total", 7.0),
            ("unseen", started, 5.0),
        ],
    );
    let then = response(940.0, &[("a", "request_total", 4.0), ("a", started, 1.0)]);
    let (prometheus, lines) = server("200 OK", vec![now, then]).await;
    let pods = [pod("a"), pod("new"), pod("unseen"), pod("never")];
    let window = prometheus.window(&pods, Duration::from_secs(60)).await.expect("a window");
    let counts: Vec<f64> = window.pods.iter().map(|pod| pod.change.sum("request_total", |_| true)).collect();
    assert_eq!((counts, window.length), (vec![5.0, 2.0], Duration::from_secs(60)));
    assert_eq!(
        window.gaps,
        [
            "shop/unseen: at the start Prometheus did not scrape it",
            "shop/never: Prometheus did not scrape it"
        ]
    );
    let lines = lines.lock().expect("a lock").clone();
    assert!(
        lines[0].starts_with("GET /prom/api/v1/query?query=%7B") && !lines[0].contains("&time="),
        "{lines:?}"
    );
    assert!(lines[1].contains("&time=940.000 "), "{lines:?}");
}

#[tokio::test]
async fn a_server_without_series_of_proxies_or_of_another_kind_is_an_error() {
    let (prometheus, _) = server("200 OK", vec![response(1.0, &[])]).await;
    let error = prometheus.window(&[pod("a")], Duration::ZERO).await.expect_err("no series");
    assert!(
        error
            .to_string()
            .ends_with("has no series of Linkerd's proxies with labels `namespace` and `pod` now"),
        "{error}"
    );
    for (status, body, expected) in [
        ("200 OK", "<html>", "the response is not one of Prometheus"),
        ("404 Not Found", "no such page", "it returned status 404 Not Found: no such page"),
    ] {
        let (prometheus, _) = server(status, vec![body.to_owned()]).await;
        let error = anyhow::Error::new(prometheus.window(&[], Duration::ZERO).await.expect_err(status));
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
}
