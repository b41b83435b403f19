//! Makes a new file in `topologies/` part of the next build: `include_dir` does not watch the folder.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../topologies");
}
