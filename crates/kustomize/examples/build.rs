//! Prints what a folder builds to: `build DIR`.

use std::io::Write;
use std::path::Path;

fn main() -> std::process::ExitCode {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    match meshy_kustomize::build(&meshy_kustomize::Disk, Path::new(&dir)) {
        Ok(output) => {
            output.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            let written = std::io::stdout().write_all(output.to_yaml().as_bytes());
            written.map_or(std::process::ExitCode::FAILURE, |()| std::process::ExitCode::SUCCESS)
        }
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(layer) = cause {
                eprintln!("error: {layer}");
                cause = layer.source();
            }
            std::process::ExitCode::FAILURE
        }
    }
}
