//! Byte identity over many generated kubeconfigs: whatever the style, the entries of labs go in and out without a trace, or
//! the file is refused.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use super::super::{Entries, with, without};
use super::{OURS, parsed};

/// The random seed, printed when a case fails. Another one is tried with `MESHY_SEED`.
fn seed() -> u64 {
    std::env::var("MESHY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(13)
}

fn ids() -> [String; 2] {
    ["a", "b"].map(|digit| digit.repeat(32))
}

fn entries(context: &str) -> Entries {
    Entries::of(OURS, context).unwrap()
}

/// Puts two labs in and takes them out in both orders. Returns whether the file was accepted.
fn round_trip(text: &str, rng: &mut StdRng) -> bool {
    let ids = ids();
    let Ok(one) = with(text, &entries("one"), &ids[0], None) else { return false };
    let put = parsed(one.text.trim_start_matches('\u{feff}'));
    assert_eq!(put["current-context"], "one");
    for section in ["clusters", "contexts", "users"] {
        let named = put[section].as_array().unwrap().iter().filter(|entry| entry["name"] == "one");
        assert_eq!(named.count(), 1, "{section} of\n{}", one.text);
    }
    let again = with(&one.text, &entries("one"), &ids[0], None).unwrap();
    assert_eq!(again.text, one.text);
    assert_eq!(without(&one.text, &ids[0]).unwrap().text, text, "one lab, via\n{}", one.text);
    let two = with(&one.text, &entries("two"), &ids[1], None).unwrap();
    assert_eq!(two.previous.as_deref(), Some("one"));
    let mut order = [0, 1];
    order.shuffle(rng);
    let mut left = two.text.clone();
    for index in order {
        left = without(&left, &ids[index]).unwrap().text;
    }
    assert_eq!(left, text, "two labs, removed in order {order:?}, via\n{}", two.text);
    true
}

/// A kubeconfig as people and tools write them.
fn generated(rng: &mut StdRng) -> String {
    let mut blocks = [
        section(rng, "clusters", "cluster"),
        section(rng, "contexts", "context"),
        section(rng, "users", "user"),
        pick(
            rng,
            &[
                "",
                "current-context: c0\n",
                "current-context: \"c0\"   # first\n",
                "current-context: 'gone'\n",
                "current-context: \"\"\n",
                "current-context:\n",
                "current-context: # none\n",
                "\"current-context\" : c0\n",
            ],
        ),
        pick(rng, &["apiVersion: v1\n", "apiVersion: v1 # of course\n", ""]),
        pick(rng, &["kind: Config\n", "", "kind:   'Config'\n"]),
        pick(
            rng,
            &[
                "",
                "preferences: {}\n",
                "preferences:\n  colors: true\n",
                "x-tool:\n- {a: 1}   # odd\n- b: [1,\n   2]\n",
                "notes: |\n  clusters:\n  - name: one\n\n  # text\n",
                "notes: >-\n  current-context: one\n",
            ],
        ),
        pick(rng, &["", "# a comment\n", "\n", "   # an indented comment\n\n", "#\tclusters:\n"]),
    ];
    blocks.shuffle(rng);
    let mut text =
        pick(rng, &["", "", "", "---\n", "# my file\n", "\n\n", "%YAML 1.2\n---\n"]) + &blocks.concat();
    text += &pick(rng, &["", "", "# the end\n", "\n", "   \n", "...\n"]);
    if rng.random_bool(0.3) {
        text = text.replace('\n', "\r\n");
    }
    if rng.random_bool(0.2) {
        let length = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(length);
    }
    if rng.random_bool(0.05) {
        text.insert(0, '\u{feff}');
    }
    text
}

fn pick(rng: &mut StdRng, all: &[&str]) -> String {
    (*all.choose(rng).unwrap()).to_owned()
}

fn section(rng: &mut StdRng, section: &str, key: &str) -> String {
    let count = rng.random_range(0..4);
    if count == 0 {
        let empty = pick(
            rng,
            &[
                "",
                "",
                " []\n",
                " [ ]  # none\n",
                " null\n",
                " ~\n",
                "\n",
                "   # to do\n",
                ":no\n",
                "\n  []\n",
            ],
        );
        return match empty.as_str() {
            "" => String::new(),
            ":no\n" => format!("{section}-of-mine: []\n"),
            value => format!("{section}:{value}"),
        };
    }
    if rng.random_bool(0.15) {
        let items: Vec<String> =
            (0..count).map(|i| format!("{{name: c{i}, {key}: {{a: \"x, ]\", b: 'it''s #1'}}}}")).collect();
        let (open, between, close) =
            *[("[", ", ", "]"), ("[ ", " , ", ", ]"), ("[\n  ", ",\n  ", "\n  ]"), ("[", ", # odd\n  ", "]")]
                .choose(rng)
                .unwrap();
        return format!("{section}: {open}{}{close}\n", items.join(between));
    }
    let indent = pick(rng, &["", "  ", "    "]);
    let quote = pick(rng, &["", "\"", "'"]);
    let mut text = format!(
        "{}:{}\n",
        pick(rng, &[section, section, section, &format!("{quote}{section}{quote}")]),
        pick(rng, &["", "", "  # mine", " "])
    );
    for i in 0..count {
        let content = pick(
            rng,
            &[
                "{a: 1, b: [x]}",
                "\n      a: 1\n      b: \"two # words\"",
                "\n      token: |\n        - one\n        # two",
                "\n\n      # inside\n      a: 'it''s'",
                "{}",
                "\n      deep:\n      - name: one\n      - name: two",
            ],
        )
        .replace('\n', &format!("\n{indent}"));
        let behind = pick(rng, &["", "", "  # careful"]);
        let item = match rng.random_range(0..4) {
            0 => format!("{indent}- {key}: {content}\n{indent}  name: c{i}{behind}\n"),
            1 => format!("{indent}-   name: \"c{i}\"{behind}\n{indent}    {key}: {content}\n"),
            2 => format!("{indent}-\n{indent}  name: c{i}{behind}\n{indent}  {key}: {content}\n"),
            _ => format!("{indent}- name: c{i}{behind}\n{indent}  {key}: {content}\n"),
        };
        text += &item;
        text += &pick(rng, &["", "", "", "# between\n", "\n", "      # deep\n", "  \n"]);
    }
    text
}

#[test]
fn generated_kubeconfigs_are_the_same_after_labs_came_and_went() {
    let seed = seed();
    let (mut accepted, mut refused) = (0, 0);
    for case in 0..600 {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003) + case);
        let text = generated(&mut rng);
        // What YAML itself refuses is not a case.
        let whole = text.trim_start_matches('\u{feff}');
        if !whole.trim().is_empty() && serde_yaml::from_str::<Value>(whole).is_err() {
            continue;
        }
        eprintln!("MESHY_SEED={seed}, case {case}:\n{text}");
        if round_trip(&text, &mut rng) { accepted += 1 } else { refused += 1 }
    }
    eprintln!("{accepted} kubeconfigs were accepted and restored, {refused} were refused unchanged");
    assert!(accepted > 300, "{accepted} accepted, {refused} refused");
    assert!(refused * 4 < accepted, "{accepted} accepted, {refused} refused");
}

#[test]
fn usual_styles_are_accepted_and_odd_ones_refused() {
    let mut rng = StdRng::seed_from_u64(1);
    for accepted in [
        "",
        "\n",
        "# only a comment",
        "---\n",
        "{}",
        "{}\n",
        "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: null\nusers: ~\n",
        "kind: Config\r\ncurrent-context: a\r\nusers: []\r\n",
        "kind: Config\ncurrent-context: a # mine",
        r#"{"apiVersion":"v1","kind":"Config","clusters":[{"name":"a","cluster":{"server":"https://a"}}],"contexts":[],"users":null}"#,
        "{\n  \"clusters\": [\n    {\"name\": \"a\", \"cluster\": {}}\n  ],\n  \"current-context\": \"a\"\n}\n",
        "clusters: [{name: a, cluster: {}}]\nusers: [ {name: a, user: {}}, ]\n",
        "clusters:\n-\tname: a\n",
    ] {
        assert!(round_trip(accepted, &mut rng), "{accepted}");
    }
    for refused in [
        "  clusters: []\n  users: []\n",
        "clusters:\n  []\n",
        "users: &all\n- name: a\ncontexts: *all\n",
        "current-context:\n  a\n",
        "current-context: |\n  a\n",
        "? clusters\n: []\n",
        "kind: Config\n...\n",
        "{clusters: [ # mine\n {name: a}]}",
    ] {
        assert!(serde_yaml::from_str::<Value>(refused).is_ok(), "{refused}");
        let error = with(refused, &entries("one"), &ids()[0], None).unwrap_err();
        assert!(error.to_string().contains("style"), "{refused}: {error:#}");
    }
}
