# The common tasks; `just` lists them.

_default:
    @just --list

# What every change must pass: formatting, lints, hermetic tests.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --workspace

# The suites against real programs: FOLDER holds the testbed.
e2e FOLDER:
    tests/testbed.sh {{FOLDER}}

# Everything that continuous integration runs.
ci:
    .ci/run

# One static binary for this machine's architecture, in target/*-linux-musl/dist or, with glibc, target/*-linux-gnu/dist.
dist:
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --no-default-features --profile dist --target "$(rustc -vV | sed -n 's/^host: //p')"

# Advisories, licences and sources of the dependencies (needs cargo-deny).
deny:
    cargo deny check
