//! The roles in manifests/rights against the requests that the commands really make on an embedded cluster: a request without
//! a rule is a right that a user of the role would miss, a rule without a request is a right too many.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

#[path = "support/home.rs"]
mod home;

use home::Home;

/// Group, resource with its subresource, verb.
type Right = (String, String, String);

/// The rights that a role grants.
fn granted(role: &str) -> BTreeSet<Right> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("manifests/rights/{role}.yaml"));
    let text = std::fs::read_to_string(file).expect("the role");
    let role: Value = serde_yaml::from_str(&text).expect("YAML");
    let words = |rule: &Value, key: &str| -> Vec<String> {
        let list = rule[key].as_array().expect("a list").iter();
        list.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                all.extend(
                    words(rule, "verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)),
                );
            }
        }
    }
    all
}

/// The rights that a request needs; none for discovery, which everybody may read.
fn needed(method: &str, url: &str) -> Vec<Right> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parts = path.trim_start_matches('/').split('/');
    let group = match parts.next() {
        Some("api") => "",
        Some("apis") => parts.next().unwrap_or_default(),
        _ => return Vec::new(),
    };
    let mut rest: Vec<&str> = parts.skip(1).collect();
    if rest.len() > 2 && rest[0] == "namespaces" {
        rest.drain(..2);
    }
    let (resource, name, sub) = match rest[..] {
        [] => return Vec::new(),
        [resource] => (resource.to_owned(), false, false),
        [resource, _] => (resource.to_owned(), true, false),
        [resource, _, sub, ..] => (format!("{resource}/{sub}"), true, true),
    };
    let verbs: &[&str] = match method {
        "GET" if query.contains("watch=true") => &["watch"],
        "GET" if name => &["get"],
        "GET" => &["list"],
        "POST" => &["create"],
        "PUT" => &["update"],
        // Server-side apply creates what is absent.
        "PATCH" if !sub => &["create", "patch"],
        "PATCH" => &["patch"],
        "DELETE" if name => &["delete"],
        _ => panic!("{method} {url}"),
    };
    verbs.iter().map(|verb| (group.to_owned(), resource.clone(), (*verb).to_owned())).collect()
}

/// Runs a command and gives the rights that its requests needed, read from what the client library logs.
fn used(home: &Home, line: &str) -> BTreeSet<Right> {
    let output = home.run(&format!("-vv --color never {line}"));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {talk}");
    let talk = console::strip_ansi_codes(&talk).into_owned();
    let request = Regex::new(r"http\.method=([A-Z]+) http\.url=https?://[^/]+(\S+?) .*: requesting")
        .expect("a pattern");
    let found: BTreeSet<Right> =
        request.captures_iter(&talk).flat_map(|found| needed(&found[1], &found[2])).collect();
    assert!(!found.is_empty(), "`{line}` made no request that was logged");
    found
}

const MEASURE: &[&str] = &[
    "stat -A --window 1s",
    "routes deploy --window 1s",
    "outcomes bounced-service --window 1s",
    "lint",
    "status",
    "sp show",
    "traffic --duration 1s",
];

/// Commands for which a Role with nothing but get, list and watch is enough.
const READ: &[&str] = &[
    "graph --window 1s",
    "stat -A --window 1s",
    "routes deploy --window 1s",
    "outcomes bounced-service --window 1s",
    "lint",
    "policy show bounced-service",
    "predict --from-cluster --over 1s",
];

const EXPERIMENT: &[&str] = &[
    "sp apply",
    "sp delete",
    "retry apply bounced-service --as route --limit 2",
    "retry delete bounced-service",
    "fault 70 bounced-service",
    // Before pods are replaced: a scrape of one that is leaving would need the right to forward a port.
    "traffic 1s --url http://bounced-service.default.svc:9090/ --from deploy/minimal-service --rate 5",
    "traffic --cleanup -n default",
    "deploy minimal-service-v2",
    "split apply",
    "split delete",
    "deploy --delete minimal-service-v2",
    "inject --remove deploy/minimal-service",
    "inject deploy/minimal-service",
];

/// Who may call. Without a Server it applies to nothing, but `policy show` reads the authentications that it names.
const AUTHORIZATION: &str = "apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: { name: anyone, namespace: default }
spec: { identities: ['*'] }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: { name: anyone, namespace: default }
spec:
  targetRef: { kind: Namespace, name: default }
  requiredAuthenticationRefs:
    - { group: policy.linkerd.io, kind: MeshTLSAuthentication, name: anyone }
";

#[test]
fn the_roles_grant_what_the_commands_need_and_nothing_more() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("sp apply");
    std::fs::write(home.path().join("authorization.yaml"), AUTHORIZATION).expect("a file");
    home.good("deploy -f authorization.yaml");
    let of =
        |lines: &[&str]| -> BTreeSet<Right> { lines.iter().flat_map(|line| used(&home, line)).collect() };
    let (measure, experiment) = (granted("measure"), granted("experiment"));
    let only_read = of(READ);
    let writes: Vec<_> =
        only_read.iter().filter(|(_, _, verb)| !["get", "list", "watch"].contains(&verb.as_str())).collect();
    assert_eq!(writes, Vec::<&Right>::new(), "a command that only reads needs these");
    let mut read = of(MEASURE);
    read.extend(only_read);
    // What `status` reads of certificates; where it may not, it says so and shows the rest.
    read.retain(|(_, resource, _)| !["configmaps", "secrets"].contains(&resource.as_str()));
    assert_eq!(
        read.difference(&measure).collect::<Vec<_>>(),
        Vec::<&Right>::new(),
        "meshy-measure lacks these"
    );
    let changed = of(EXPERIMENT);
    let both: BTreeSet<Right> = measure.union(&experiment).cloned().collect();
    assert_eq!(
        changed.difference(&both).collect::<Vec<_>>(),
        Vec::<&Right>::new(),
        "meshy-experiment lacks these"
    );
    assert_eq!(
        measure.difference(&read).collect::<Vec<_>>(),
        Vec::<&Right>::new(),
        "meshy-measure has these too many"
    );
    assert_eq!(
        experiment.difference(&changed).collect::<Vec<_>>(),
        Vec::<&Right>::new(),
        "meshy-experiment has these too many"
    );
    assert_eq!(measure.intersection(&experiment).collect::<Vec<_>>(), Vec::<&Right>::new(), "granted twice");
}
