//! Errors are types: a text is an error only where clap reads the value of a flag, which needs nothing else.

use crate::sources;

/// The folders whose functions read values of flags.
const FLAGS: [&str; 2] = ["src/args/", "src/commands/"];

#[test]
fn no_function_returns_a_text_as_its_error() {
    let files = sources::with_extension(&["rs"]);
    let is_read = |path: &str| !FLAGS.iter().any(|folder| path.starts_with(folder));
    let programs = files.iter().filter(|file| is_read(&file.path));
    let programs = programs.map(|file| (&file.path, sources::program(file)));
    let programs: Vec<_> = programs.filter(|(_, program)| !program.is_empty()).collect();
    assert!(programs.len() > 400, "only {} files were read", programs.len());
    let wrong: Vec<String> = programs
        .iter()
        .flat_map(|(path, program)| {
            text_errors(program).into_iter().map(move |line| format!("{path}:{line}"))
        })
        .collect();
    assert!(wrong.is_empty(), "make these errors types:\n{}", wrong.join("\n"));
}

#[test]
fn a_planted_text_as_an_error_is_found() {
    assert_eq!(text_errors("fn a() {}\nfn b() -> Result<u8, String> {\n"), [2]);
    assert_eq!(text_errors("fn b() -> Result<\n    Vec<(u8, u8)>,\n    String,\n> {\n"), [1]);
    assert_eq!(text_errors("    type Err = String;\n"), [1]);
    assert_eq!(text_errors("fn b() -> anyhow::Result<BTreeMap<String, String>> {\n"), [0; 0]);
}

/// The lines of a program in which a `Result` has a text as its error.
fn text_errors(program: &str) -> Vec<usize> {
    let results = program.match_indices("Result<").filter(|(at, found)| {
        let arguments = arguments(&program[at + found.len()..]);
        arguments.len() == 2 && arguments[1] == "String"
    });
    let types = ["type Err = String;", "type Error = String;"];
    let types = types.iter().flat_map(|of| program.match_indices(of));
    let mut lines: Vec<usize> =
        results.chain(types).map(|(at, _)| program[..at].lines().count().max(1)).collect();
    lines.sort_unstable();
    lines
}

/// The arguments of a generic type whose `<` stands before the text.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut all) = (0, vec![String::new()]);
    for c in text.chars() {
        match c {
            '>' if depth == 0 => break,
            ',' if depth == 0 => all.push(String::new()),
            _ => {
                depth += i32::from(matches!(c, '<' | '(' | '[')) - i32::from(matches!(c, '>' | ')' | ']'));
                if let Some(last) = all.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    let all = all.iter().map(|argument| argument.trim().to_owned());
    all.filter(|argument| !argument.is_empty()).collect()
}
