//! Builds the crate again when a shipped file changes: `include_dir!` alone does not notice it.

fn main() {
    for folder in ["scenarios", "linkerd/routes", "linkerd/service-profiles"] {
        println!("cargo::rerun-if-changed=../../{folder}");
    }
}
