//! Bad input: the exit code, the place and the nearest name, before any side effect.

use std::fs;
use std::process::Output;

use crate::home::Home;

/// A topology with these services, whose first line is line 5.
fn topology(services: &str) -> String {
    format!("apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: {{ name: x }}\nservices:\n{services}")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn invalid_topologies_end_with_status_2_the_line_and_the_nearest_name() {
    let home = Home::new();
    let front = "  - { name: front, entrypoint: true, calls: [price] }\n";
    for (name, services, expected) in [
        (
            "unknown.yaml",
            "  - { name: front, entrypoint: true, calls: [prize] }\n  - name: price\n",
            "unknown.yaml:5: service `front` calls unknown service `prize`; did you mean `price`?",
        ),
        ("cycle.yaml", &format!("{front}  - {{ name: price, calls: [front] }}\n"), "cycle.yaml:"),
        (
            "workers.yaml",
            &format!(
                "{front}  - name: price\n    capacity: {{ workers: 0, queue: 1, serviceTime: {{ mean: 1s }} }}\n"
            ),
            "workers.yaml:7: invalid value of `workers`",
        ),
        (
            "key.yaml",
            "  - { name: front, entrypoint: true, replica: 2 }\n",
            "key.yaml:5: unknown key `replica`",
        ),
    ] {
        fs::write(home.path().join(name), topology(services)).expect("a file");
        for command in [
            "build --topology",
            "deploy --topology",
            "deploy --delete --topology",
            "up --provider embedded --topology",
            "graph --topology",
            "predict --rate 1/s --topology",
        ] {
            let output = home.run(&format!("{command} {name}"));
            assert_eq!(output.status.code(), Some(2), "`{command} {name}`: {}", stderr(&output));
            assert!(stderr(&output).contains(expected), "`{command} {name}`: {}", stderr(&output));
        }
    }
    assert!(!home.path().join(".local").exists(), "something was written");
}

#[test]
fn flags_that_cannot_be_used_end_with_status_2() {
    let home = Home::new();
    fs::write(home.path().join("bad.yaml"), "kind: Service\n").expect("a file");
    for (line, expected) in [
        ("build --topology shpo", "unknown topology `shpo`; did you mean `shop`?"),
        ("build --topology shop --namespace My_Shop", "invalid namespace `My_Shop`"),
        ("build --topology original-demo -n shop", "cannot be deployed into namespace `shop`"),
        ("build", "required"),
        ("deploy --topology absent.yaml", "cannot read topology `absent.yaml`"),
        ("deploy minimal-service --topology shop", "cannot be used with"),
        ("deploy -f bad.yaml", "bad.yaml"),
        ("deploy -f absent.yaml", "cannot read absent.yaml"),
        ("graph chekout --topology shop", "unknown service `chekout`; did you mean `checkout`?"),
        ("predict --topology shop", "--rate"),
        ("predict --topology original-demo --rate 1/s", "no entry point"),
        ("predict --topology chain-4 --rate much/s", "much"),
        ("predict --topology chain-4 --rate 1/s --trigger up=3s", "invalid trigger `up=3s`"),
        ("predict --topology chain-4 --rate 1/s --trigger down=3s --at stok", "did you mean `stock`?"),
        (
            "predict --topology chain-4 --rate 1/s --trigger down=3s --duration 10s",
            "too short for trigger `down=3s`",
        ),
        ("predict --topology chain-4 --rate 1/s --fail 70%", "cannot be used with"),
    ] {
        let output = home.run(line);
        assert_eq!(output.status.code(), Some(2), "`{line}`: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "`{line}`: {}", stderr(&output));
    }
    assert!(!home.path().join(".local").exists(), "something was written");
}
