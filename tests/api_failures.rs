//! Commands against API servers that fail.

#[path = "support/fake_api.rs"]
mod fake_api;
#[path = "support/home.rs"]
mod home;

use fake_api::{CONTEXT, FakeApi, Mode};
use home::Home;

#[test]
fn a_read_fails_when_the_api_server_fails_in_any_way() {
    let home = Home::new();
    for mode in Mode::FAST.into_iter().filter(|mode| !matches!(mode, Mode::NotFoundPage | Mode::NotFoundText))
    {
        let fake = FakeApi::start(mode.clone());
        let kubeconfig = fake.kubeconfig(home.path());
        let output = home.run(&format!("stat --kubeconfig {} --context {CONTEXT}", kubeconfig.display()));
        assert!(!output.status.success(), "{mode:?}");
        let requests = fake.requests();
        assert_eq!(requests.is_empty(), mode == Mode::Refused, "{mode:?}: {requests:?}");
    }
}
