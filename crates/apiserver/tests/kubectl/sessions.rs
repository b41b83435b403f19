//! What people and charts do with kubectl and helm.

/// Commands in a separate namespace.
pub(crate) struct Session {
    /// Also the prefix of the namespace.
    pub(crate) name: &'static str,
    /// `kubectl` or `helm`.
    pub(crate) program: &'static str,
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Arguments; `A | B` passes the output of A to B. `{ns}` is the namespace, here and in the files.
    pub(crate) commands: &'static [&'static str],
    /// Commands of kubectl for objects outside of the namespace.
    pub(crate) cleanup: &'static [&'static str],
}

const LIST: &str = r#"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {set: list}}, data: {x: "1"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b, labels: {set: list}}, data: {x: "1"}}
"#;

const UNKNOWN: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: before, labels: {set: unknown}}
---
apiVersion: example.org/v1
kind: Nothing
metadata: {name: nothing}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: after, labels: {set: unknown}}
";

const DEFINITION: &str = r"
apiVersion: session.example.io/v1
kind: Box
metadata: {name: mine}
spec: {size: 1}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boxes.session.example.io}
spec:
  group: session.example.io
  scope: Namespaced
  names: {plural: boxes, kind: Box}
  versions:
  - name: v1
    served: true
    storage: true
    deprecated: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
";

const BUILT_IN: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: deployments.apps}
spec:
  group: apps
  scope: Namespaced
  names: {plural: deployments, kind: Deployment}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
";

const UNAPPROVED: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boxes.networking.k8s.io}
spec:
  group: networking.k8s.io
  scope: Namespaced
  names: {plural: boxes, kind: Box}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
";

const POD: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: evicted}
spec:
  containers: [{name: c, image: i}]
";

const EVICTION: &str = r#"
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "evicted"}, "deleteOptions": {"dryRun": ["All"]}}
"#;

const MAP_1: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {x: \"1\", y: \"1\"}\n";
const MAP_2: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {x: \"2\", z: \"1\"}\n";
const MAP_3: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {x: \"2\"}\n";

const EVENT: &str = r#"
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: started}
eventTime: "2026-01-01T00:00:00.000000Z"
reportingController: example.io/controller
reportingInstance: one
action: Start
reason: Started
regarding: {apiVersion: v1, kind: Pod, name: p, namespace: "{ns}"}
note: it runs
type: Normal
"#;

const EVENT_ELSEWHERE: &str = r#"
apiVersion: v1
kind: Event
metadata: {name: elsewhere}
involvedObject: {apiVersion: v1, kind: Pod, name: p, namespace: other}
reason: Started
type: Normal
---
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: incomplete}
eventTime: "2026-01-01T00:00:00.000000Z"
type: Normal
"#;

const CHART: &str = "apiVersion: v2\nname: session\nversion: 0.1.0\n";
const TEMPLATE: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: chart}\ndata: {value: \"{{ .Values.value }}\"}\n";

pub(crate) const SESSIONS: [Session; 9] = [
    Session {
        name: "session-list",
        program: "kubectl",
        files: &[("list.yaml", LIST)],
        commands: &[
            "create -f list.yaml --dry-run=server",
            "apply -f list.yaml",
            "apply -f list.yaml",
            "get configmaps -l set=list -o yaml | apply -f -",
            "diff -f list.yaml",
            "edit configmaps -l set=list",
            "delete -f list.yaml",
        ],
        cleanup: &[],
    },
    Session {
        name: "session-unknown-kind",
        program: "kubectl",
        files: &[("unknown.yaml", UNKNOWN)],
        commands: &[
            "apply -f unknown.yaml",
            "get configmaps -l set=unknown",
            "apply -f unknown.yaml --server-side",
            "create -f unknown.yaml",
            "delete -f unknown.yaml",
        ],
        cleanup: &[],
    },
    Session {
        name: "session-definition",
        program: "kubectl",
        files: &[("boxes.yaml", DEFINITION)],
        commands: &[
            "apply -f boxes.yaml",
            "wait --for=condition=Established crd/boxes.session.example.io --timeout=30s",
            "apply -f boxes.yaml",
            "get boxes",
            "apply -f boxes.yaml",
            "delete -f boxes.yaml",
        ],
        cleanup: &["delete crd boxes.session.example.io --ignore-not-found"],
    },
    Session {
        name: "session-built-in-definition",
        program: "kubectl",
        files: &[("built-in.yaml", BUILT_IN), ("unapproved.yaml", UNAPPROVED)],
        commands: &["apply -f built-in.yaml", "apply -f unapproved.yaml", "get deployments"],
        cleanup: &[],
    },
    Session {
        name: "session-eviction",
        program: "kubectl",
        files: &[("pod.yaml", POD), ("eviction.json", EVICTION)],
        commands: &[
            "apply -f pod.yaml",
            "create --raw /api/v1/namespaces/{ns}/pods/evicted/eviction -f eviction.json",
            "get pod evicted -o name",
        ],
        cleanup: &[],
    },
    Session {
        name: "session-server-side",
        program: "kubectl",
        files: &[("1.yaml", MAP_1), ("2.yaml", MAP_2), ("3.yaml", MAP_3)],
        commands: &[
            "apply -f 1.yaml",
            "apply --server-side -f 2.yaml --field-manager=other",
            "apply --server-side -f 2.yaml",
            "get configmap m -o jsonpath={.data}",
            "apply view-last-applied configmap/m -o json",
            "apply -f 3.yaml",
            "get configmap m -o jsonpath={.data}",
            "get configmap m -o yaml --show-managed-fields",
        ],
        cleanup: &[],
    },
    Session {
        name: "session-events",
        program: "kubectl",
        files: &[("event.yaml", EVENT), ("elsewhere.yaml", EVENT_ELSEWHERE)],
        commands: &[
            "create -f elsewhere.yaml",
            "create -f event.yaml",
            "get events",
            "get events.events.k8s.io",
            "get event started -o yaml",
            "get events.events.k8s.io started -o yaml",
            "events",
        ],
        cleanup: &[],
    },
    Session {
        name: "session-self",
        program: "kubectl",
        files: &[],
        commands: &[
            "auth can-i get pods",
            "auth can-i delete nodes",
            "get service kubernetes -n default -o name",
        ],
        cleanup: &[],
    },
    Session {
        name: "session-helm",
        program: "helm",
        files: &[
            ("chart/Chart.yaml", CHART),
            ("chart/values.yaml", "value: one\n"),
            ("chart/templates/map.yaml", TEMPLATE),
            ("unknown/Chart.yaml", CHART),
            ("unknown/templates/nothing.yaml", UNKNOWN),
        ],
        commands: &[
            "install session chart --wait",
            "list",
            "get manifest session",
            "upgrade session chart --set value=two",
            "get manifest session",
            "history session",
            "rollback session 1",
            "uninstall session",
            "install unknown unknown",
            "list --all",
        ],
        cleanup: &[],
    },
];
