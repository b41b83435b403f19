//! Generates random trees: a base of workloads with references, and overlays with random transforms.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Writes the tree of that seed below `dir`; gives the folder to build.
pub(crate) fn write(seed: u64, dir: &Path) -> PathBuf {
    let mut tree = Tree { random: StdRng::seed_from_u64(seed), dir, names: Vec::new() };
    tree.base();
    let levels = tree.random.random_range(1..4);
    let mut below = "base".to_owned();
    for level in 0..levels {
        let name = format!("level{level}");
        tree.overlay(&name, &below);
        below = name;
    }
    dir.join(below)
}

struct Tree<'a> {
    random: StdRng,
    dir: &'a Path,
    /// The workloads of the base.
    names: Vec<String>,
}

impl Tree<'_> {
    fn file(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn chance(&mut self, of_ten: u32) -> bool {
        self.random.random_ratio(of_ten, 10)
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.random.random_range(0..of.len())]
    }

    fn name(&mut self) -> String {
        let index = self.random.random_range(0..self.names.len());
        self.names[index].clone()
    }

    fn base(&mut self) {
        let mut kustomization = String::from("resources:\n");
        for index in 0..self.random.random_range(1..5) {
            let name = format!("app{index}");
            let text = self.workload(&name);
            self.file(&format!("base/{name}.yaml"), &text);
            writeln!(kustomization, "  - {name}.yaml").unwrap();
            self.names.push(name);
        }
        if self.chance(7) {
            kustomization.push_str("configMapGenerator:\n  - name: conf\n    literals: [a=1, b=two]\n");
        }
        if self.chance(5) {
            kustomization.push_str("secretGenerator:\n  - name: sec\n    literals: [pass=word]\n");
        }
        if self.chance(3) {
            kustomization.push_str("namePrefix: base-\n");
        }
        self.file("base/kustomization.yaml", &kustomization);
    }

    /// A workload with its service, service account and random additions.
    fn workload(&mut self, name: &str) -> String {
        let kind = self.one(&["Deployment", "Deployment", "StatefulSet", "DaemonSet"]);
        let image = self.one(&["nginx", "nginx:1.25", "localhost:5000/app:v1", "ghcr.io/x/y@sha256:00ff"]);
        let replicas = self.random.random_range(0..4);
        let mut text = format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata:\n  name: {name}\n  labels: {{tier: t{replicas}}}\nspec:\n  replicas: {replicas}\n  \
             template:\n    metadata:\n      labels: {{run: {name}}}\n    spec:\n      serviceAccountName: {name}\n      containers:\n        \
             - name: main\n          image: {image}\n          env:\n            - {{name: A, value: \"1\"}}\n            - {{name: B, valueFrom: \
             {{configMapKeyRef: {{name: conf, key: a}}}}}}\n          envFrom:\n            - secretRef: {{name: sec}}\n"
        );
        if self.chance(5) {
            text.push_str("          ports:\n            - {containerPort: 80, name: http}\n            - {containerPort: 81}\n");
        }
        if self.chance(5) {
            text.push_str("        - {name: side, image: \"side:1\", args: [a, b]}\n");
        }
        if self.chance(5) {
            text.push_str("      volumes:\n        - {name: v, configMap: {name: conf}}\n        - {name: w, emptyDir: {}}\n");
        }
        write!(text, "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n").unwrap();
        write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports:\n    - {{port: 80, name: http}}\n    - {{port: 443, protocol: TCP}}\n"
        )
        .unwrap();
        if self.chance(6) {
            write!(
                text,
                "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  rules:\n    - host: {name}\n      \
                 http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}]}}\n"
            )
            .unwrap();
        }
        if self.chance(4) {
            write!(
                text,
                "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\nroleRef: {{apiGroup: \
                 rbac.authorization.k8s.io, kind: ClusterRole, name: view}}\nsubjects:\n  - {{kind: ServiceAccount, name: {name}, namespace: default}}\n"
            )
            .unwrap();
        }
        text
    }

    fn overlay(&mut self, level: &str, below: &str) {
        let mut text = format!("resources:\n  - ../{below}\n");
        if self.chance(6) {
            writeln!(text, "namePrefix: {level}-").unwrap();
        }
        if self.chance(3) {
            writeln!(text, "nameSuffix: -{level}").unwrap();
        }
        if self.chance(4) {
            writeln!(text, "namespace: ns-{level}").unwrap();
        }
        if self.chance(6) {
            let include =
                self.one(&["includeSelectors: true", "includeTemplates: true", "includeSelectors: false"]);
            writeln!(text, "labels:\n  - pairs: {{{level}: here}}\n    {include}").unwrap();
        }
        if self.chance(3) {
            writeln!(text, "commonLabels: {{common: {level}}}").unwrap();
        }
        if self.chance(4) {
            writeln!(text, "commonAnnotations: {{note: {level}}}").unwrap();
        }
        if self.chance(5) {
            let image = self.one(&[
                "name: nginx, newTag: \"9\"",
                "name: localhost:5000/app, newName: app",
                "name: side, digest: \"sha256:1\"",
            ]);
            writeln!(text, "images:\n  - {{{image}}}").unwrap();
        }
        if self.chance(3) {
            text.push_str("configMapGenerator:\n  - name: conf\n    behavior: merge\n    literals: [c=3]\n");
        }
        self.patches(&mut text);
        if self.chance(3) {
            writeln!(
                text,
                "replacements:\n  - source: {{kind: Service, name: {name}, fieldPath: metadata.name}}\n    targets:\n      - select: {{kind: \
                 Deployment|StatefulSet}}\n        fieldPaths: [\"spec.template.spec.containers.[name=main].env.[name=A].value\"]",
                name = self.name()
            )
            .unwrap();
        }
        self.file(&format!("{level}/kustomization.yaml"), &text);
    }

    fn patches(&mut self, text: &mut String) {
        let mut patches = String::new();
        if self.chance(6) {
            let containers = self.one(&[
                "[{name: main, env: [{name: B, $patch: delete}, {name: NEW, value: x}]}]",
                "[{name: main, ports: [{containerPort: 80, hostPort: 1}, {containerPort: 99}]}]",
                "[{name: new, image: new}]",
                "[{name: side, $patch: delete}]",
                "[{$patch: replace}, {name: only, image: only}]",
            ]);
            write!(
                patches,
                "  - target: {{kind: Deployment|StatefulSet|DaemonSet, name: \".*\"}}\n    patch: |-\n      apiVersion: apps/v1\n      kind: \
                 Deployment\n      metadata: {{name: any}}\n      spec: {{template: {{spec: {{containers: {containers}}}}}}}\n"
            )
            .unwrap();
        }
        if self.chance(5) {
            let operation = self.one(&[
                "{op: replace, path: /spec/ports/0/port, value: 8080}",
                "{op: add, path: /spec/ports/-, value: {port: 1}}",
                "{op: remove, path: /spec/ports/1}",
                "{op: add, path: /metadata/annotations, value: {x: y}}",
                "{op: replace, path: /spec/type, value: none}",
            ]);
            let name = self.name();
            write!(
                patches,
                "  - target: {{kind: Service, name: \"{name}\"}}\n    patch: |-\n      - {operation}\n"
            )
            .unwrap();
        }
        if self.chance(4) {
            let ports = self.one(&[
                "[{port: 80, nodePort: 1}]",
                "[{port: 443, protocol: TCP, name: tls}]",
                "[{port: 443, name: tls}]",
                "[]",
            ]);
            let name = self.name();
            write!(
                patches,
                "  - target: {{kind: Service, name: {name}}}\n    patch: |-\n      apiVersion: v1\n      kind: Service\n      metadata: {{name: \
                 x}}\n      spec: {{ports: {ports}}}\n"
            )
            .unwrap();
        }
        if !patches.is_empty() {
            write!(text, "patches:\n{patches}").unwrap();
        }
    }
}
