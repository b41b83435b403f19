//! Parser for the tables of built-in types.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use super::{Field, List, Map, Merge, Strategy, Struct, StructRef, Ty};

const TABLES: [&str; 12] = [
    include_str!("types/apiextensions.txt"),
    include_str!("types/apps.txt"),
    include_str!("types/authentication.txt"),
    include_str!("types/authorization.txt"),
    include_str!("types/autoscaling.txt"),
    include_str!("types/coordination.txt"),
    include_str!("types/core.txt"),
    include_str!("types/discovery.txt"),
    include_str!("types/events.txt"),
    include_str!("types/meta.txt"),
    include_str!("types/networking.txt"),
    include_str!("types/policy.txt"),
];

/// The built-in types.
#[derive(Debug)]
pub(crate) struct Builtins {
    pub(crate) structs: Vec<Struct>,
    index: HashMap<String, usize>,
}

/// Returns the built-in types, parsed on first use.
pub(crate) fn builtins() -> &'static Builtins {
    static BUILTINS: LazyLock<Builtins> = LazyLock::new(read);
    &BUILTINS
}

/// Returns a built-in type by its name in the tables (`core.v1.Pod`).
pub(crate) fn builtin(name: &str) -> Ty {
    Ty::Struct(StructRef::Builtin(builtins().index[name]))
}

fn read() -> Builtins {
    let lines = || TABLES.iter().flat_map(|table| table.lines()).filter(|line| !line.is_empty());
    let names = lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    let index: HashMap<String, usize> = names.enumerate().map(|(at, name)| (name.to_owned(), at)).collect();
    let mut structs: Vec<Struct> = Vec::with_capacity(index.len());
    for line in lines() {
        let mut fields = line.split_whitespace();
        let name = fields.next().unwrap_or_default();
        if !line.starts_with(' ') {
            let atomic = fields.next() == Some("atomic");
            let fields = BTreeMap::new();
            structs.push(Struct { name: name.to_owned(), fields, atomic, open: false, custom: false });
        } else if let Some(last) = structs.last_mut() {
            let ty = fields.next().unwrap_or_default();
            let rules: Vec<&str> = fields.collect();
            let (name, always, pointer) = match (name.strip_suffix('!'), name.strip_suffix('?')) {
                (Some(name), _) => (name, true, false),
                (_, Some(name)) => (name, false, true),
                _ => (name, false, false),
            };
            last.fields.insert(name.to_owned(), field(&index, ty, &rules, always, pointer));
        }
    }
    Builtins { structs, index }
}

fn field(index: &HashMap<String, usize>, ty: &str, rules: &[&str], always: bool, pointer: bool) -> Field {
    let argument = |rule_name: &str| {
        let found =
            rules.iter().find_map(|rule| rule.strip_prefix(rule_name)?.strip_prefix('(')?.strip_suffix(')'));
        found.map(str::to_owned)
    };
    let merge = match argument("map") {
        Some(keys) => Merge::Keys(keys.split(',').map(str::to_owned).collect()),
        None if rules.contains(&"set") => Merge::Set,
        None => Merge::Atomic,
    };
    let patch = argument("patch").unwrap_or_default();
    let (strategies, key) = patch.split_once(':').unwrap_or((patch.as_str(), ""));
    let strategy = Strategy {
        merge: strategies.split(',').any(|strategy| strategy == "merge"),
        retain_keys: strategies.split(',').any(|strategy| strategy == "retainKeys"),
        key: key.to_owned(),
    };
    Field {
        ty: parse(index, ty, merge, rules.contains(&"atomic")),
        always,
        pointer,
        required: rules.contains(&"required"),
        strategy,
        default: argument("default").map(Into::into),
        numbers: rules
            .iter()
            .find_map(|rule| rule.strip_prefix('#'))
            .map(|numbers| numbers.split('.').filter_map(|number| number.parse().ok()).collect())
            .unwrap_or_default(),
    }
}

fn parse(index: &HashMap<String, usize>, text: &str, merge: Merge, atomic: bool) -> Ty {
    if let Some(item) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Ty::List(Arc::new(List { item: parse(index, item, Merge::Atomic, false), merge }));
    }
    if let Some(value) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        return Ty::Map(Arc::new(Map { value: parse(index, value, Merge::Atomic, false), atomic }));
    }
    match text {
        "string" => Ty::String,
        "int32" => Ty::Int32,
        "int64" => Ty::Int64,
        "double" => Ty::Double,
        "bool" => Ty::Bool,
        "quantity" => Ty::Quantity,
        "intorstring" => Ty::IntOrString,
        "time" => Ty::Time,
        "microtime" => Ty::MicroTime,
        "bytes" => Ty::Bytes,
        "any" => Ty::Any { atomic: true },
        name => Ty::Struct(StructRef::Builtin(index[name])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_ports_merge_by_port_and_protocol() {
        let Ty::Struct(container) = builtin("core.v1.Container") else { panic!("not a struct") };
        let Ty::List(ports) = &container.fields["ports"].ty else { panic!("not a list") };
        assert_eq!(ports.merge, Merge::Keys(vec!["containerPort".to_owned(), "protocol".to_owned()]));
        assert_eq!(container.fields["ports"].strategy.key, "containerPort");
    }
}
