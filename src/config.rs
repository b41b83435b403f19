//! `meshy.yaml`: global flags in a file, and the programs of `meshy up`. Its keys are the flags' names; flags win.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value};

use meshy_base::bounded::{self, Links};
use meshy_base::error::{Advise, AdviseError, Exit};
use meshy_lab::lab::{self, LabName};

/// The file that is read when it is in the current folder.
const FILE: &str = "meshy.yaml";

/// The command that has lists in the file, and its flags.
const UP: &str = "up";
const UP_LISTS: [&str; 2] = ["--program", "--stub"];

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// Puts the values of the file before the flags of a command line, where clap lets the later one win.
///
/// # Errors
/// A named file is absent, or a file is not YAML, has an unknown key (with the nearest right one), a value that is not a scalar or
/// an invalid name.
pub fn merge(args: Vec<OsString>, command: &clap::Command) -> anyhow::Result<Vec<OsString>> {
    let named = named(&args);
    let file = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
    let text = match read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(args),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", file.display())).exit(Exit::Usage);
        }
    };
    let place = || format!("in {}", file.display());
    let mut value = document(&text).with_context(place).exit(Exit::Usage)?;
    let programs = up_flags(&mut value).with_context(place).exit(Exit::Usage)?;
    let added = flags(value, &args, command).with_context(place).exit(Exit::Usage)?;
    let mut merged = args;
    let is_up = !programs.is_empty() && subcommand(&merged, command).as_deref() == Some(UP);
    if is_up {
        // A list on the command line is the whole list.
        let given = |flag: &str| merged.iter().any(|arg| arg.to_string_lossy().starts_with(flag));
        let given = UP_LISTS.map(|flag| (flag, given(flag)));
        let wins = |item: &OsString| {
            given.iter().any(|(flag, given)| *given && item.to_string_lossy().starts_with(flag))
        };
        merged.extend(programs.into_iter().filter(|item| !wins(item)));
    }
    merged.splice(1..1, added);
    Ok(merged)
}

/// The file that is read with these arguments, if it is there.
pub fn file(args: &[OsString]) -> PathBuf {
    named(args).unwrap_or_else(|| PathBuf::from(FILE))
}

/// The text of a file, which may be behind a link; a FIFO, which would be waited for, is an error.
fn read(file: &Path) -> io::Result<String> {
    bounded::read_text(file, LARGEST, Links::Followed)
}

/// `--config FILE` of a command line that clap has not read yet.
fn named(args: &[OsString]) -> Option<PathBuf> {
    for (i, arg) in args.iter().enumerate() {
        if arg == "--config" {
            return args.get(i + 1).map(PathBuf::from);
        }
        if let Some(file) = arg.to_str().and_then(|a| a.strip_prefix("--config=")) {
            return Some(Path::new(file).to_owned());
        }
    }
    None
}

/// Returns the keys and values of a file.
fn document(text: &str) -> anyhow::Result<Map<String, Value>> {
    match serde_yaml::from_str(text).context("it is not YAML")? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(anyhow!("it is not a map of flags")),
    }
}

/// Takes the keys of `up` out of a file: `program` and `stub`, each a list as on the command line, or a map.
fn up_flags(map: &mut Map<String, Value>) -> anyhow::Result<Vec<OsString>> {
    let mut flags = Vec::new();
    for flag in UP_LISTS {
        let key = flag.trim_start_matches('-');
        let item = |value: &Value| value.as_str().map(|text| format!("{flag}={text}").into());
        let pair =
            |(name, value): (&String, &Value)| Some(format!("{flag}={name}={}", value.as_str()?).into());
        let items: Option<Vec<OsString>> = match map.remove(key) {
            None => continue,
            Some(Value::Array(items)) => items.iter().map(item).collect(),
            Some(Value::Object(items)) => items.iter().map(pair).collect(),
            Some(_) => None,
        };
        flags.extend(
            items.with_context(|| format!("invalid `{key}`, expected a list of texts or a map of texts"))?,
        );
    }
    Ok(flags)
}

/// Returns the command of a command line that may be invalid.
fn subcommand(args: &[OsString], command: &clap::Command) -> Option<String> {
    let matches = command.clone().ignore_errors(true).try_get_matches_from(args).ok()?;
    matches.subcommand_name().map(str::to_owned)
}

fn flags(
    map: Map<String, Value>,
    args: &[OsString],
    command: &clap::Command,
) -> anyhow::Result<Vec<OsString>> {
    let known: Vec<&clap::Arg> = command.get_arguments().filter(|a| a.is_global_set()).collect();
    let mut flags = Vec::new();
    for (key, value) in map {
        let Some(arg) = known.iter().find(|a| a.get_long() == Some(&key) && key != "config") else {
            return Err(unknown(&key, &known));
        };
        if key == "name" {
            valid_name(&value)?;
        }
        // Clap refuses a flag that is given twice, so the file's is left out where the command line has its own.
        if given(args, arg) {
            continue;
        }
        match (arg.get_action().takes_values(), value) {
            (false, Value::Bool(true)) => flags.push(format!("--{key}").into()),
            (false, Value::Bool(false)) => {}
            (false, Value::Number(times)) if key == "verbose" => {
                let times = times.as_u64().unwrap_or(0).min(3);
                flags.extend((0..times).map(|_| OsString::from("--verbose")));
            }
            (true, Value::String(text)) => flags.push(format!("--{key}={text}").into()),
            (true, Value::Number(number)) => flags.push(format!("--{key}={number}").into()),
            (_, other) => return Err(anyhow!("`{key}` cannot be `{other}`")),
        }
    }
    Ok(flags)
}

/// Clap checks it, too, but does not know that it came from the file.
fn valid_name(value: &Value) -> anyhow::Result<()> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        // Refused as a value of any flag.
        other => return Err(anyhow!("`name` cannot be `{other}`")),
    };
    let Err(error) = text.parse::<LabName>() else { return Ok(()) };
    let error = Err(error).with_context(|| format!("invalid lab name `{text}`"));
    match lab::advice_on_invalid_name(&text) {
        Some(advice) => error.hint(advice),
        None => error,
    }
}

fn given(args: &[OsString], arg: &clap::Arg) -> bool {
    let long = arg.get_long().map(|l| format!("--{l}"));
    let short = arg.get_short().map(|s| format!("-{s}"));
    args.iter().filter_map(|a| a.to_str()).take_while(|a| *a != "--").any(|a| {
        let is_long = long
            .as_ref()
            .is_some_and(|l| a == l || a.strip_prefix(l.as_str()).is_some_and(|r| r.starts_with('=')));
        let is_short = short.as_ref().is_some_and(|s| a.starts_with(s.as_str()) && !a.starts_with("--"));
        is_long || is_short
    })
}

fn unknown(key: &str, known: &[&clap::Arg]) -> anyhow::Error {
    let names = known.iter().filter_map(|a| a.get_long()).filter(|n| *n != "config");
    let near = names.max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
    let hint =
        format!("did you mean `{}`? The keys are the names of the global flags", near.unwrap_or("name"));
    anyhow!("unknown key `{key}`").hint(hint).id("config-key").exit(Exit::Usage)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn merged(text: &str, line: &str) -> anyhow::Result<Vec<String>> {
        let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let flags = flags(document(text)?, &args, &crate::cli::Cli::command())?;
        Ok(flags.into_iter().map(|f| f.into_string().unwrap()).collect())
    }

    #[test]
    fn flags_win_over_the_file() {
        let text = "name: train\ntimeout: 5m\nyes: true\ndry-run: false\n";
        assert_eq!(merged(text, "meshy up").unwrap(), ["--name=train", "--timeout=5m", "--yes"]);
        assert_eq!(merged(text, "meshy up --name=x --timeout 1m").unwrap(), ["--yes"]);
        assert_eq!(merged("output: json", "meshy status -o text").unwrap(), [""; 0]);
    }

    #[test]
    fn a_name_that_is_not_a_dns_label_is_refused_even_where_a_flag_wins() {
        for bad in ["..", "''", "a/b", "Lab", "1.5", "[a]", "~"] {
            for line in ["meshy down", "meshy down --name x"] {
                assert!(merged(&format!("name: {bad}"), line).is_err(), "{bad}");
            }
        }
        assert_eq!(merged("name: 2024", "meshy down").unwrap(), ["--name=2024"]);
    }

    #[test]
    fn programs_and_stubs_of_up_are_lists_or_maps() {
        let mut map =
            document("program: {shop/cart:1: python3 cart.py}\nstub: ['price=errors:30%']\n").unwrap();
        assert_eq!(
            up_flags(&mut map).unwrap(),
            ["--program=shop/cart:1=python3 cart.py", "--stub=price=errors:30%"]
        );
        assert!(map.is_empty());
        assert!(up_flags(&mut document("program: [1]").unwrap()).is_err());
        let command = crate::cli::Cli::command();
        let of = |line: &str| subcommand(&line.split(' ').map(Into::into).collect::<Vec<_>>(), &command);
        assert_eq!(of("meshy --name x up -f a"), Some("up".to_owned()));
        assert_eq!(of("meshy --name up down"), Some("down".to_owned()));
    }

    #[test]
    fn an_unknown_key_is_reported_with_the_nearest_valid_one() {
        let error = merged("providr: kind", "meshy up").unwrap_err();
        assert!(meshy_base::error::hints(&error)[0].starts_with("did you mean `provider`?"));
    }
}
