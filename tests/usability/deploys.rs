//! Manifests that cannot work are reported with their reason.

use crate::home::Home;

fn manifest(namespace: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web{namespace}}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: web, image: \"{image}\"}}]}}}}\n"
    )
}

#[test]
fn an_image_without_a_program_is_reported_before_anything_is_applied() {
    let home = Home::new();
    home.good("up --provider embedded");
    std::fs::write(home.path().join("web.yaml"), manifest("", "nginx:1.27")).expect("a file");
    let failed = home.run("deploy -f web.yaml");
    let text = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(2), "{text}");
    assert!(text.contains("image `nginx:1.27` of deployment `web` has no program"), "{text}");
    assert!(text.contains("hint: `meshy up --program nginx:1.27=COMMAND`"), "{text}");
    assert!(!home.good("stat deploy").contains("web "), "nothing is applied");
}

#[test]
fn a_missing_namespace_is_reported_with_the_command_that_creates_it() {
    let home = Home::new();
    home.good("up --provider embedded");
    std::fs::write(home.path().join("web.yaml"), manifest(", namespace: nowhere", "minimal-service"))
        .expect("a file");
    let failed = home.run("deploy -f web.yaml");
    let text = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(text.contains("namespaces \"nowhere\" not found"), "{text}");
    assert!(text.contains("hint: create it with `kubectl create namespace nowhere`"), "{text}");
}
