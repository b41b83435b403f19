//! Programs of this machine that containers of an embedded lab run, by image.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use meshy_base::error::{Advise, Exit};
use meshy_base::exec;
use meshy_embedded::LocalProgram;
use serde::{Deserialize, Serialize};

/// The programs of a lab. Only `up` sets them: a manifest cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programs {
    /// One program for each image.
    pub images: Vec<Program>,
    /// Whether they get `HTTP_PROXY`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http_proxy: bool,
}

/// A program of this machine and the image of the containers that run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The image: a name, a repository, or one of them with a tag or digest.
    pub image: String,
    /// The absolute path of the program, and its arguments.
    pub command: Vec<String>,
    /// The working directory: that of `up`.
    pub folder: PathBuf,
}

impl Program {
    /// Reads `IMAGE=COMMAND`; the command is split into words as a shell does it, and no shell runs it. Its program is a path
    /// relative to `folder`, or a name in `PATH`.
    ///
    /// # Errors
    /// The text has another form, or there is no such program.
    pub fn parse(text: &str, folder: &Path) -> anyhow::Result<Self> {
        let usage = |error: anyhow::Error| {
            let hint = "for example `--program shop/cart:1='python3 cart.py'`";
            Err(error).hint(hint).exit(Exit::Usage)
        };
        let Some((image, line)) = text.split_once('=').filter(|(image, _)| !image.trim().is_empty()) else {
            return usage(anyhow!("invalid program `{text}`, expected IMAGE=COMMAND"));
        };
        let words = shlex::split(line).filter(|words| words.first().is_some_and(|word| !word.is_empty()));
        let Some(mut command) = words else {
            return usage(anyhow!(
                "invalid command `{line}` for image `{image}`: it is empty or a quote is open"
            ));
        };
        let name = command[0].clone();
        let found = if name.contains('/') {
            Some(folder.join(&name)).filter(|path| is_program(path))
        } else {
            exec::find(&name).filter(|path| path.is_absolute())
        };
        let Some(path) = found else {
            let place =
                if name.contains('/') { format!("below {}", folder.display()) } else { "in PATH".into() };
            return Err(anyhow!("program `{name}` of image `{image}` not found {place}"))
                .hint("install it, or name another command: `--program IMAGE=COMMAND`")
                .exit(Exit::Prerequisite);
        };
        command[0] = path.display().to_string();
        Ok(Self { image: image.trim().to_owned(), command, folder: folder.to_owned() })
    }
}

impl Programs {
    /// Returns the programs as the embedded cluster runs them.
    #[must_use]
    pub fn local(&self) -> Vec<LocalProgram> {
        let local = |program: &Program| LocalProgram {
            image: program.image.clone(),
            command: program.command.clone(),
            folder: program.folder.clone(),
            http_proxy: self.http_proxy,
        };
        self.images.iter().map(local).collect()
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Program> {
        Program::parse(text, Path::new("/"))
    }

    #[test]
    fn a_command_is_split_into_words_and_its_program_is_found() {
        let program = parse("shop/cart:1=sh -c 'echo \"$PORT\" a'").unwrap();
        assert_eq!(program.image, "shop/cart:1");
        assert!(program.command[0].ends_with("/sh"), "{:?}", program.command);
        assert_eq!(program.command[1..], ["-c", "echo \"$PORT\" a"]);
    }

    #[test]
    fn what_cannot_run_is_an_error_with_a_hint() {
        for (text, exit, expected) in [
            ("cart", Exit::Usage, "invalid program `cart`, expected IMAGE=COMMAND"),
            ("=sh", Exit::Usage, "expected IMAGE=COMMAND"),
            ("cart=", Exit::Usage, "it is empty or a quote is open"),
            ("cart=sh -c 'x", Exit::Usage, "it is empty or a quote is open"),
            (
                "cart=nosuch-program x",
                Exit::Prerequisite,
                "program `nosuch-program` of image `cart` not found in PATH",
            ),
            ("cart=./nosuch", Exit::Prerequisite, "program `./nosuch` of image `cart` not found below /"),
            ("cart=./etc/passwd", Exit::Prerequisite, "not found below /"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error:#}");
            assert_eq!(
                (meshy_base::error::exit_of(&error), meshy_base::error::hints(&error).len()),
                (exit, 1)
            );
        }
    }
}
