//! Compiles the test service as a static program, so that the binary can carry its image with it.
//!
//! Only where a release is built (or with `MESHY_EMBED_SERVICE=1`): tests need no image and would wait half a minute.
//! Where it cannot be compiled the build goes on, with a warning; `up` then repeats the reason.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the service's program is made of; a change elsewhere does not compile it again.
const SOURCES: [&str; 8] = [
    "../../Cargo.toml",
    "../../Cargo.lock",
    "../load/Cargo.toml",
    "../load/src",
    "../net/Cargo.toml",
    "../net/src",
    "../../test-services/minimal-service/Cargo.toml",
    "../../test-services/minimal-service/src",
];

const SWITCH: &str = "MESHY_EMBED_SERVICE";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(embedded_service)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={SWITCH}");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let wanted = match env::var(SWITCH).as_deref() {
        Ok("1") => Ok(()),
        Ok(_) => Err(format!("it was built with {SWITCH} other than 1")),
        Err(_) if variable("PROFILE") == "release" => Ok(()),
        Err(_) => Err(format!("it is a debug build without {SWITCH}=1")),
    };
    match wanted {
        Err(reason) => println!("cargo::rustc-env=MESHY_NO_SERVICE={reason}"),
        Ok(()) => match compile() {
            Ok(program) => {
                println!("cargo::rustc-cfg=embedded_service");
                println!("cargo::rustc-env=MESHY_SERVICE={}", program.display());
            }
            Err(reason) => {
                let reason = reason.to_string().replace('\n', " ");
                println!("cargo::warning=the test service is not embedded: {reason}");
                println!("cargo::rustc-env=MESHY_NO_SERVICE={reason}");
            }
        },
    }
}

/// Compiles the program and gives its path.
fn compile() -> Result<PathBuf, Box<dyn Error>> {
    let target = target()?;
    let folder = Path::new(&variable("OUT_DIR")).join("service");
    let mut failure = String::new();
    // All it needs is among what was fetched for this build. Unless versions were resolved again, as `cargo install` does: then
    // the locked versions may have to be fetched.
    for network in [&["--offline"][..], &[]] {
        let run =
            cargo(target, &folder).args(network).output().map_err(|error| format!("run cargo: {error}"))?;
        if run.status.success() {
            return Ok(folder.join(target).join("service/minimal-service"));
        }
        failure = last_error(&String::from_utf8_lossy(&run.stderr));
    }
    Err(failure.into())
}

/// The target whose C library can be linked statically by the stock toolchain.
fn target() -> Result<&'static str, Box<dyn Error>> {
    let (host, target) = (variable("HOST"), variable("TARGET"));
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    let known = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];
    known.into_iter().find(|known| *known == host && known.starts_with(&architecture)).ok_or_else(|| {
        format!("a build on {host} for {target} cannot make a static Linux program for it").into()
    })
}

fn cargo(target: &str, folder: &Path) -> Command {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(variable("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--locked", "--package", "minimal-service", "--bin", "minimal-service"]);
    // A separate profile and folder: the outer cargo holds the lock of its folder until this ends.
    cargo.args(["--profile", "service", "--target", target, "--target-dir"]).arg(folder);
    // The outer build's flags are for the outer build (of clippy, say, or another linker). This variable has the last
    // word over every other place where flags can stand. Paths of this machine stay out of the program: it goes into
    // an image that others pull, and the same sources are to give the same bytes wherever they lie.
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    for (folder, name) in [(home.ok(), "/cargo"), (root(), "/meshy")] {
        flags.extend(folder.map(|folder| format!("--remap-path-prefix={folder}={name}")));
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    for outer in
        ["RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "CARGO_BUILD_TARGET_DIR", "CARGO_TARGET_DIR"]
    {
        cargo.env_remove(outer);
    }
    cargo
}

/// The folder of the repository.
fn root() -> Option<String> {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok()?;
    root.into_os_string().into_string().ok()
}

/// The error in cargo's output: from its first `error` line, shortened.
fn last_error(said: &str) -> String {
    let lines = said.lines().skip_while(|line| !line.starts_with("error"));
    lines.take(6).map(str::trim).collect::<Vec<_>>().join(" ").chars().take(600).collect()
}

/// A variable that cargo sets for every build script.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
