//! Which variables a local program gets.

use crate::program::Env;

/// Variables that a manifest cannot set, since they select code that other programs run or load.
const REFUSED: [&str; 25] = [
    "PATH",
    "BASH_ENV",
    "SHELLOPTS",
    "IFS",
    "GCONV_PATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONINSPECT",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
    "GODEBUG",
    "DOTNET_STARTUP_HOOKS",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "HOME",
];

/// The beginnings of names of such variables: those of the dynamic loader.
const REFUSED_PREFIXES: [&str; 3] = ["LD_", "DYLD_", "GLIBC_TUNABLES"];

/// What a program gets from the environment of `meshy up`; nothing else, since it may hold credentials.
const KEPT: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "GOROOT",
    "JAVA_HOME",
];

/// Returns the variables of a container that its program gets, and the names of those that are refused.
pub(super) fn allowed(env: &Env) -> (Env, Vec<String>) {
    let (refused, allowed): (Env, Env) =
        env.iter().map(|(name, value)| (name.clone(), value.clone())).partition(|(name, _)| is_refused(name));
    (allowed, refused.into_keys().collect())
}

fn is_refused(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    REFUSED.contains(&upper.as_str())
        || REFUSED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
        || name.is_empty()
        || name.contains(['=', '\0'])
}

/// Returns the environment of the process: that of the container, and what is kept of this process's.
pub(super) fn of_process(env: Env) -> Env {
    let kept = KEPT.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let mut all: Env = kept.collect();
    // Python would keep the log back until its buffer is full.
    all.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
    all.extend(env);
    all
}

#[cfg(test)]
mod tests {
    use super::{Env, allowed, of_process};

    fn env(names: &[&str]) -> Env {
        names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect()
    }

    #[test]
    fn variables_that_select_code_are_refused() {
        let refused = [
            "DYLD_INSERT_LIBRARIES",
            "JAVA_TOOL_OPTIONS",
            "LD_LIBRARY_PATH",
            "LD_PRELOAD",
            "NODE_OPTIONS",
            "OPENSSL_CONF",
            "PATH",
            "PYTHONSTARTUP",
            "ld_preload",
        ];
        let mut names = refused.to_vec();
        names.extend(["CART_URL", "LDAP_URL", "MY_PATH"]);
        let (left, found) = allowed(&env(&names));
        assert_eq!(found, refused);
        assert_eq!(left, env(&["CART_URL", "LDAP_URL", "MY_PATH"]));
    }

    #[test]
    fn the_process_gets_its_path_from_the_command_and_no_other_variable() {
        let all = of_process(env(&["CART_URL"]));
        assert_eq!(all.get("PATH"), std::env::var("PATH").ok().as_ref());
        assert!(!all.contains_key("CARGO_PKG_NAME") && all.contains_key("CART_URL"), "{all:?}");
    }
}
