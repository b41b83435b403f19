//! A service whose clients have no proxy: what commands report about it.

use crate::home::Home;

#[test]
fn a_service_whose_clients_have_no_proxy_is_reported_with_what_to_do() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject --remove deploy/minimal-service");
    for (apply, delete) in [
        ("retry apply bounced-service", "retry delete bounced-service"),
        ("retry apply bounced-service --as route", "retry delete bounced-service --as route"),
        ("sp apply", "sp delete"),
    ] {
        let applied = home.run(apply);
        let text = String::from_utf8_lossy(&applied.stderr).into_owned();
        // The policy is applied: a client that gets its proxy later uses it.
        assert_eq!(applied.status.code(), Some(0), "`{apply}`: {text}");
        assert_eq!(text.matches("warning[clients-absent]").count(), 1, "`{apply}`: {text}");
        assert!(text.contains("do:  inject the proxy into the clients: `meshy inject"), "`{apply}`: {text}");
        home.good(delete);
    }
    let measured = home.good("traffic 1s --rate 5");
    let words = measured.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("no proxy counted a request to bounced-service: its clients are not meshed"),
        "{words}"
    );
    assert!(words.contains("`meshy inject` meshes them"), "{words}");
}
