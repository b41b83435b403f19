//! Manifests that cannot work are reported with their reason, and soon.

use std::time::Instant;

use crate::home::Home;

fn manifest(namespace: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web{namespace}}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: web, image: \"nginx:1.27\"}}]}}}}\n"
    )
}

/// That the second pull is soon is a test of the embedded cluster.
#[test]
fn an_image_that_can_never_be_pulled_ends_the_deployment_at_its_second_pull() {
    let home = Home::new();
    home.good("up --provider embedded");
    std::fs::write(home.path().join("web.yaml"), manifest("")).expect("a file");
    let begun = Instant::now();
    let failed = home.run("deploy -f web.yaml");
    eprintln!("failed after {:.1?}", begun.elapsed());
    let text = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1), "{text}");
    assert!(text.contains("only these images have a program: minimal-service"), "{text}");
    assert!(!text.contains("--timeout"), "a longer wait does not help: {text}");
}

#[test]
fn a_missing_namespace_is_reported_with_the_command_that_creates_it() {
    let home = Home::new();
    home.good("up --provider embedded");
    std::fs::write(home.path().join("web.yaml"), manifest(", namespace: nowhere")).expect("a file");
    let failed = home.run("deploy -f web.yaml");
    let text = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(text.contains("namespaces \"nowhere\" not found"), "{text}");
    assert!(text.contains("hint: create it with `kubectl create namespace nowhere`"), "{text}");
}
