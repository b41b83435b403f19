//! A cluster that another tool made: what `up` and the policies put there goes with `down`, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::user::{Theirs, User};

impl User {
    /// All objects but those that controllers make and drop as time goes by.
    fn objects(&self) -> BTreeSet<String> {
        const PASSING: [&str; 7] =
            ["events", "leases", "pods", "endpoints", "endpointslices", "replicasets", "componentstatuses"];
        let kinds = self.kubectl("api-resources --verbs=list -o name");
        let kinds: Vec<&str> =
            kinds.lines().filter(|kind| !PASSING.contains(&kind.split('.').next().unwrap())).collect();
        let list = self.kubectl(&format!("get {} -A --ignore-not-found -o json", kinds.join(",")));
        let list: Value = serde_json::from_str(&list).unwrap();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = |o: &Value| {
            format!(
                "{}/{}/{}",
                word(&o["kind"]),
                word(&o["metadata"]["namespace"]),
                word(&o["metadata"]["name"])
            )
        };
        // What Kubernetes itself gives every namespace, some seconds after it began, and its own namespaces.
        let own = |name: &String| {
            let mut parts = name.split('/').skip(1);
            parts.next().is_some_and(|namespace| namespace.starts_with("kube-"))
                || name.ends_with("/kube-root-ca.crt")
                || (name.starts_with("ServiceAccount/") && name.ends_with("/default"))
        };
        list["items"].as_array().unwrap().iter().map(name).filter(|name| !own(name)).collect()
    }
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn down_on_a_cluster_of_others_removes_exactly_what_meshy_applied() {
    let user = User::new("exact");
    let cluster = Theirs::make(&user);
    user.kubectl("create namespace shop");
    user.kubectl("create configmap settings -n shop --from-literal=a=b");
    user.kubectl("create service clusterip web --tcp=80:80");
    let before = user.objects();

    let context = cluster.context();
    // Without images nothing starts, and everything is applied anyway.
    let images = ["--image-registry", "registry.invalid", "--image", "registry.invalid/minimal-service:v1"];
    let up = ["up", "--provider", "existing", "--context", &context, "--yes"];
    let up = user.run(&[&up[..], &images].concat());
    let stderr = String::from_utf8_lossy(&up.stderr);
    assert_eq!(up.status.code(), Some(1), "{stderr}");
    let added = user.objects().difference(&before).count();
    assert!(added > 50, "only {added} objects were added: {stderr}");
    user.must(&["retry", "apply", "web", "--as", "route", "--context", &context]);
    assert!(user.objects().contains("HTTPRoute/default/web-retry"));

    user.must(&["down"]);
    let after = user.objects();
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new(), "left behind");
    assert_eq!(
        before.difference(&after).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "taken away from others"
    );
}
