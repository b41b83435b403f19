//! The log level of the proxies of a lab.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::home::Home;

/// A line of the log level `debug`.
const DECISION: &str = "response of the application";

/// Returns the log of the proxy of bounced-service's pod.
fn log(home: &Home) -> String {
    let kubeconfig = Kubeconfig::read_from(home.kubeconfig()).expect("the kubeconfig");
    let work = async move {
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a context");
        let pods: Api<Pod> = Api::namespaced(kube::Client::try_from(config).expect("a client"), "default");
        let list = pods.list(&ListParams::default().labels("app=bounced-service")).await.expect("pods");
        let name = list.items[0].metadata.name.clone().expect("a name");
        let params = LogParams { container: Some("linkerd-proxy".into()), ..LogParams::default() };
        pods.logs(&name, &params).await.expect("logs")
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(work)
}

#[test]
fn up_sets_the_log_level_of_the_proxies_and_a_later_up_repeats_or_changes_it() {
    let home = Home::new();
    home.good("up --provider embedded --proxy-log warn,linkerd=debug");
    home.good("traffic 1s --rate 5");
    assert!(log(&home).contains(DECISION), "{}", log(&home));

    home.good("up");
    let kept = log(&home);
    assert!(kept.contains(DECISION), "`up` started the pods again: {kept}");

    let changed = home.run("up --proxy-log info");
    let text = String::from_utf8_lossy(&changed.stderr);
    assert!(changed.status.success() && text.contains("another log level of the proxies"), "{text}");
    home.good("traffic 1s --rate 5");
    assert!(!log(&home).contains(DECISION), "{}", log(&home));
}

#[test]
fn an_invalid_log_level_is_found_before_anything_is_created() {
    let home = Home::new();
    let refused = home.run("up --provider embedded --proxy-log nonsense");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("invalid log level `nonsense`, expected `error`, `warn`"), "{text}");
    let left = std::fs::read_dir(home.path()).expect("the home").count();
    assert_eq!(left, 0, "{text}");
}
