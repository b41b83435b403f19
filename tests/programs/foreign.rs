//! Every table over a service that is not meshy's test service: numbers from the proxies' counters alone.

use rustix::process::Signal;
use serde_json::Value;

use crate::home::signal;
use crate::lab::wait_until;
use crate::shop::Shop;

/// What only the test service reports, and why it is absent.
const ABSENT: &str = "service `price` runs another application";

/// Sends requests to the shop and returns the result, with the counts of `price`, which the cart calls once for each request.
fn load(shop: &Shop, flags: &str) -> Value {
    let url = format!("--url http://127.0.0.1:{}/ -H Host:shop.example.com", shop.port);
    shop.json(&format!("traffic {flags} {url} --outcomes price -n shop"))
}

/// The numbers of these names.
fn numbers<'a>(of: &Value, names: impl IntoIterator<Item = &'a str>) -> Vec<Option<u64>> {
    names.into_iter().map(|name| of[name].as_u64()).collect()
}

#[test]
#[ignore = "needs python, node and go"]
fn each_table_has_exact_numbers_of_a_service_that_meshy_does_not_know() {
    let shop = Shop::up();
    let unknown = shop.lab.0.run("predict --from-cluster --service price -n shop --duration 1s");
    let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(1), "{text}");
    assert!(
        text.contains("the share of failures of service `price` is not known") && text.contains("hint:"),
        "{text}"
    );
    // Three of any ten attempts in a row fail.
    a_load_counts_each_outcome_and_is_judged(&shop);
    a_prediction_from_the_cluster_has_the_measured_share_of_failures(&shop);
    shop.lab.0.good("retry apply price -n shop --limit 2");
    let after = load(&shop, "1s --rate 10 --tag after");
    let of_price = &after["mesh"]["outcomes"];
    let names = ["first_attempt_count", "after_retries_count", "limit_count", "not_retryable_count"];
    let sum: u64 = numbers(of_price, names).into_iter().map(|count| count.expect("a number")).sum();
    assert_eq!((of_price["requests_count"].as_u64(), sum), (Some(10), 10), "{of_price}");
    recorded_runs_are_explained_and_compared(&shop, &after);
    the_graph_has_the_counts_of_the_outcomes(&shop);
}

fn a_load_counts_each_outcome_and_is_judged(shop: &Shop) {
    let expect = "success>=70%,success<=70%,actual-success<=70%,added-load<=0%";
    let before = load(shop, &format!("2s --rate 10 --tag before --expect {expect}"));
    assert_eq!(
        (&before["traffic"]["requests_count"], &before["traffic"]["success_ratio"]),
        (&20.into(), &0.7.into())
    );
    let judged = before["expectations"].as_array().expect("a list");
    assert!(judged.len() == 4 && judged.iter().all(|one| one["verdict"] == "met"), "{judged:?}");
    let of_price = &before["mesh"]["outcomes"];
    let names = [
        "requests_count",
        "first_attempt_count",
        "after_retries_count",
        "not_retryable_count",
        "attempts_count",
    ];
    assert_eq!(numbers(of_price, names), [20, 14, 0, 6, 20].map(Some), "{of_price}");
    assert_eq!(of_price["added_latency_ms"], Value::Null);
    assert!(of_price["remarks"].to_string().contains(ABSENT), "{of_price}");
    let why = before["mesh"]["unpredicted"].as_str().expect("a reason");
    assert!(why.contains("does not run meshy's test service"), "{why}");

    let url = format!("--url http://127.0.0.1:{}/ -H Host:shop.example.com", shop.port);
    let failed =
        shop.lab.0.run(&format!("traffic 1s --rate 10 {url} --outcomes price -n shop --expect success>70%"));
    let text = String::from_utf8_lossy(&failed.stdout).into_owned();
    assert_eq!(failed.status.code(), Some(5), "{text}");
    let not_met = "1 of 1 expectation not met: success > 70% (measured 70 % (7 of 10))";
    assert!(String::from_utf8_lossy(&failed.stderr).contains(not_met), "{failed:?}");
    assert!(
        text.contains("10 requests, 10 attempts: 1.00 a request, 0 % added load, - added latency"),
        "{text}"
    );

    let all = shop.json("outcomes price -n shop --window 0s");
    let names = ["requests_count", "first_attempt_count", "not_retryable_count", "attempts_count"];
    assert_eq!(numbers(&all, names), [30, 21, 9, 30].map(Some), "{all}");
    assert!(all["remarks"].to_string().contains(ABSENT), "{all}");
}

fn a_prediction_from_the_cluster_has_the_measured_share_of_failures(shop: &Shop) {
    let url = format!("--url http://127.0.0.1:{}/ -H Host:shop.example.com", shop.port);
    let mut load = shop.lab.0.spawn(&format!("traffic 60s --rate 10 {url}"));
    wait_until("no request of the load arrived", || {
        shop.json("outcomes price -n shop --window 0s")["requests_count"].as_u64() > Some(30)
    });
    let predicted = shop.json("predict --from-cluster --service price -n shop --duration 2s");
    signal(load.id(), Signal::INT);
    load.wait().expect("its end");
    let measured = &predicted["measured"];
    let [requests, attempts, succeeded] = ["requests_count", "attempts_count", "attempts_succeeded_count"]
        .map(|name| measured[name].as_u64().expect("a number"));
    assert!(requests > 0 && attempts == requests, "{measured}");
    let scenario = &predicted["prediction"]["scenario"];
    assert_eq!(scenario["requests_per_second"], requests as f64 / 2.0, "{predicted}");
    let failed = 1.0 - succeeded as f64 / attempts as f64;
    assert!((scenario["fail_ratio"].as_f64().expect("a number") - failed).abs() < 1e-9, "{predicted}");
    assert_eq!(
        predicted["within_prediction"], true,
        "without retries the measured share is the predicted one"
    );
}

fn recorded_runs_are_explained_and_compared(shop: &Shop, after: &Value) {
    let run = after["run"].as_str().expect("a run");
    let explained = shop.json(&format!("explain {run}"))["steps"][0].to_string();
    let attempts = after["mesh"]["clients"]["attempts_count"].as_u64().expect("a number");
    assert!(explained.contains("of 10 requests succeeded for the client"), "{explained}");
    assert!(explained.contains(&format!("of {attempts} attempts succeeded")), "{explained}");

    let compared = &shop.json("report before after")[0];
    assert_eq!(compared["first_success_ratio"], 0.7, "{compared}");
    assert_eq!(compared["second_success_ratio"], after["traffic"]["success_ratio"], "{compared}");
    let added = attempts as f64 / 10.0 - 1.0;
    assert_eq!(compared["added_attempts_per_request"][0], 0.0, "{compared}");
    assert!(
        (compared["added_attempts_per_request"][1].as_f64().expect("a number") - added).abs() < 1e-9,
        "{compared}"
    );

    shop.lab.0.good(&format!("report {run}"));
    let page = std::fs::read_to_string(shop.lab.0.path().join("meshy-report.html")).expect("a page");
    assert!(page.contains("succeeded on the first attempt") && page.contains(ABSENT), "{page}");
}

fn the_graph_has_the_counts_of_the_outcomes(shop: &Shop) {
    let all = shop.json("outcomes price -n shop --window 0s");
    let graph = shop.json("graph -n shop --window 0s");
    let edges = graph["edges"].as_array().expect("edges");
    let edge = edges.iter().find(|edge| edge["from"] == "cart" && edge["to"] == "price").expect("an edge");
    assert_eq!(edge["requests_count"], all["requests_count"], "{edge}");
    assert_eq!(edge["policy"], "at most 2 retries a request, no budget");
    let per_request =
        all["attempts_count"].as_f64().expect("a number") / all["requests_count"].as_f64().expect("a number");
    assert_eq!(edge["attempts_per_request"], per_request, "{edge}");
}
