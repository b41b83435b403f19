//! Bad input: exit status, cause and hint.

use std::process::Output;

use crate::lab::{Lab, deployment};

/// Asserts the exit status and what stderr contains.
fn fails(output: &Output, status: i32, expected: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    for text in expected {
        assert!(stderr.contains(text), "`{text}` is not in: {stderr}");
    }
}

#[test]
fn an_image_without_a_program_is_reported_before_anything_is_made() {
    let lab = Lab::new();
    lab.write("cart.yaml", &deployment("cart", "shop/cart:1", "ports: [{ containerPort: 80 }]"));
    let output = lab.up("-f cart.yaml", &[]);
    let hint = "--program shop/cart:1=COMMAND";
    fails(&output, 2, &["image `shop/cart:1` of deployment `cart` has no program", hint, "--stub cart"]);
    assert!(!lab.0.lab("meshy").join("lab.json").exists(), "a lab was made");
}

#[test]
fn a_program_that_is_not_there_is_reported_before_anything_is_made() {
    let lab = Lab::new();
    lab.write("cart.yaml", &deployment("cart", "shop/cart:1", "ports: [{ containerPort: 80 }]"));
    let output = lab.up("-f cart.yaml", &["--program", "shop/cart:1=nosuch-program --port 80"]);
    fails(&output, 3, &["program `nosuch-program` of image `shop/cart:1` not found in PATH", "hint:"]);
    let output = lab.up("-f cart.yaml", &["--program", "shop/cart"]);
    fails(&output, 2, &["expected IMAGE=COMMAND", "for example"]);
    let output = lab.up("-f cart.yaml", &["--stub", "cart=latency:1s"]);
    fails(&output, 2, &["unknown key `latency`", "errors:30%"]);
    assert!(!lab.0.lab("meshy").join("lab.json").exists(), "a lab was made");
}

#[test]
fn the_output_of_a_program_that_exits_at_once_is_shown() {
    let lab = Lab::new();
    lab.write("cart.yaml", &deployment("cart", "shop/cart:1", "ports: [{ containerPort: 80 }]"));
    let program = "shop/cart:1=sh -c 'echo \"Traceback: no module cart\" >&2; exit 3'";
    // Less than the back-off before a third start would take.
    let output = lab.up("-f cart.yaml --timeout 30s", &["--program", program]);
    fails(
        &output,
        1,
        &["deployment `cart` cannot become ready", "its log ends with: Traceback: no module cart"],
    );
    // A program with a fixed port that another process has.
    let program = "shop/cart:1=sh -c 'echo \"listen tcp :8080: bind: address already in use\"; exit 1'";
    let output = lab.up("-f cart.yaml --timeout 30s", &["--program", program]);
    fails(&output, 1, &["address already in use", "hint: the program listens on a fixed port"]);
}

#[test]
fn programs_of_the_configuration_file_are_used_by_up_only() {
    let lab = Lab::new();
    lab.write("cart.yaml", &deployment("cart", "shop/cart:1", ""));
    lab.write("meshy.yaml", "program:\n  shop/cart:1: sh -c 'while :; do sleep 1; done'\nstub: []\n");
    let up = lab.good_up("-f cart.yaml", &[]);
    assert_eq!(up["lab"]["programs"]["images"][0]["image"], "shop/cart:1");
    lab.0.good("status");
    lab.write("meshy.yaml", "program: 3\n");
    fails(&lab.0.run("status"), 2, &["invalid `program`, expected a list of texts"]);
    lab.write("meshy.yaml", "");
}

#[test]
fn other_providers_do_not_run_programs() {
    let lab = Lab::new();
    lab.write("cart.yaml", &deployment("cart", "shop/cart:1", ""));
    let output = lab.0.command("up --provider kind -f cart.yaml --program shop/cart:1=sh").output();
    let hint = "`--provider embedded`";
    fails(&output.expect("the program starts"), 2, &["provider `kind` runs images and not programs", hint]);
}
