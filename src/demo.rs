//! The original demo as one run: failures, retries on, off again, and the same through the ingress.

pub mod stage;

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::measure::{self, Step, View};
use crate::runs::Verdict;
use crate::summary;
use crate::ui::table::points;
use meshy_base::error::{Advise, Exit};
use meshy_load::{self, Plan, Target};
use meshy_metrics::routes::Service;
use meshy_policy::policy::{self, Clients, Evidence, PolicyChange, Session};
use meshy_policy::services::{self, FaultChange};
use meshy_predict::Interval;

use stage::Stage;

/// One scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scene {
    /// Its name in tables.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub says: &'static str,
    /// What a speaker may add.
    pub note: &'static str,
    /// Through the ingress to the service that fails, instead of through minimal-service.
    pub ingress: bool,
    /// Whether the profile is on.
    pub profile: bool,
    /// Seconds of traffic.
    pub seconds: f64,
}

/// The scenes, in their order.
pub const SCENES: [Scene; 5] = [
    Scene {
        name: "no profile",
        says: "minimal-service asks bounced-service, which fails seven of ten requests. Nothing retries.",
        note: "The user gets what the service gives: about 30 %.",
        ingress: false,
        profile: false,
        seconds: 20.0,
    },
    Scene {
        name: "profile on",
        says: "The same, with a ServiceProfile whose route is retryable, and its budget.",
        note: "The service fails as before. The caller's proxy retries, and the service pays with more than three \
               times the load.",
        ingress: false,
        profile: true,
        seconds: 25.0,
    },
    Scene {
        name: "profile off",
        says: "The profile is deleted again.",
        note: "No restart, no new image: the failures are back at once.",
        ingress: false,
        profile: false,
        seconds: 15.0,
    },
    Scene {
        name: "ingress, off",
        says: "Now users reach bounced-service through the ingress. Nothing retries.",
        note: "The client is the ingress controller now, and it has a separate proxy.",
        ingress: true,
        profile: false,
        seconds: 20.0,
    },
    Scene {
        name: "ingress, on",
        says: "The same profile: the ingress controller's proxy retries.",
        note: "A profile belongs to the service. Every meshed client of it follows.",
        ingress: true,
        profile: true,
        seconds: 25.0,
    },
];

/// The length and rate of the scenes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Requests per second.
    pub rate: f64,
    /// Seconds of a scene, as a share of the written ones.
    pub length: f64,
    /// Chance starts from here in each scene, so that each run comes out the same.
    pub seed: Option<u64>,
}

impl Pace {
    /// About two minutes. Four requests a second at 70 % failing want 9.3 retries a second: the budget's reserve carries them.
    pub const FULL: Self = Self { rate: 4.0, length: 1.0, seed: None };
    /// About twenty seconds; what is fewer in requests is made up by the random seed: 8 of its first 26 attempts are good, and
    /// 32 of its first 107.
    pub const FAST: Self = Self { rate: 8.0, length: 0.16, seed: Some(366) };
}

/// The percentage of requests that fail in the demo.
const QUOTA: u8 = 70;

/// How long the clients of a case may take to use a policy.
const IN_USE: Duration = Duration::from_secs(45);

/// Sets a scene: switches the profile, waits until the client uses it, and lets the service fail as the scene needs it.
///
/// # Errors
/// The cluster's; the client does not use the profile in time.
pub async fn set(
    stage: &Stage,
    session: &mut Session,
    scene: &Scene,
    pace: Pace,
    deadline: Instant,
) -> anyhow::Result<()> {
    switch(stage, session, scene.profile, scene.ingress, deadline).await?;
    let service = bounced();
    let seed = pace.seed.map(Some);
    let change =
        FaultChange { quota: Some(QUOTA), reject: Some(true), sequence: Some(vec![]), seed, delay_max: None };
    if seed.is_some() {
        return session.fault(&service, &change).await;
    }
    let pods = services::pods(&stage.client, &service.namespace, &service.name).await?;
    // An image that is not meshy's has no admin port: what its service does is then its own matter.
    match services::fault(&stage.client, &pods).await {
        Ok(fault) if (fault.ratio() * 100.0).round() == f64::from(QUOTA) => Ok(()),
        Ok(_) => session.fault(&service, &change).await,
        Err(error) => {
            tracing::debug!("the fault of `{}` is not known: {error:#}", service.name);
            Ok(())
        }
    }
}

/// Measures a scene that is set.
///
/// # Errors
/// The cluster's.
pub async fn play(
    stage: &Stage,
    scene: &Scene,
    pace: Pace,
    stop: watch::Receiver<bool>,
    view: &impl View,
) -> anyhow::Result<Step> {
    let service = bounced();
    let length = Duration::from_secs_f64((scene.seconds * pace.length).max(1.0));
    let plan = Plan { rate: pace.rate, length, ..Plan::default() };
    let case = if scene.ingress { "ingress" } else { "service" };
    let mesh = Some((&stage.client, &service));
    measure::step(scene.name, case, mesh, (target(stage, scene.ingress), plan), stop, view).await
}

/// The service that fails.
pub fn bounced() -> Service {
    Service { namespace: "default".to_owned(), name: services::BOUNCED.to_owned() }
}

/// What is sent in a case.
pub fn target(stage: &Stage, ingress: bool) -> Target {
    if ingress { Target::ingress_case(stage.ingress) } else { Target::service_case(stage.ingress) }
}

/// Removes the retries of the failing service, wherever they come from, so that the scenes begin without any.
///
/// # Errors
/// The API's; another field manager holds the policies.
pub async fn begin(session: &mut Session) -> anyhow::Result<()> {
    session.hold(&[profile_change(true)?]).await?;
    session.without_retries(&bounced()).await
}

fn profile_change(on: bool) -> anyhow::Result<PolicyChange> {
    let service = bounced();
    Ok(match on {
        true => PolicyChange::profile(policy::shipped()?),
        false => PolicyChange::no_profile(&policy::profile_name(&service), &service.namespace),
    })
}

/// Applies the profile or removes it, and waits until a request of the case's client shows that it uses that.
///
/// # Errors
/// The API's; the client's proxy does not follow in time.
pub async fn switch(
    stage: &Stage,
    session: &mut Session,
    on: bool,
    ingress: bool,
    deadline: Instant,
) -> anyhow::Result<()> {
    session.apply(&profile_change(on)?).await?;
    let evidence = if on { Evidence::ProfileRoutes } else { Evidence::NoProfile };
    in_use(stage, session, &evidence, ingress, deadline).await
}

/// Waits until a request of the case's client shows that it uses a policy.
///
/// # Errors
/// The ingress cannot be reached; the client's proxy does not follow in time; the run was asked to end.
pub(crate) async fn in_use(
    stage: &Stage,
    session: &Session,
    evidence: &Evidence,
    ingress: bool,
    deadline: Instant,
) -> anyhow::Result<()> {
    let service = bounced();
    let deadline = deadline.min(Instant::now() + IN_USE);
    let used = async {
        let caller = stage.caller(ingress);
        let mut clients = Clients::known(&stage.client, &service, caller, deadline).await?;
        let probe = async || probe(stage, ingress).await;
        clients.probed(evidence, stage.pauses(), probe, deadline).await
    };
    if session.wait(used).await? {
        return Ok(());
    }
    Err(anyhow!("the clients of `{}` do not use the changed policy", service.name))
        .hint("`meshy sp show` shows the state of each client; other traffic keeps a proxy from a new discovery")
        .exit(Exit::Timeout)
}

/// Sends one request.
async fn probe(stage: &Stage, ingress: bool) -> anyhow::Result<()> {
    let (_go, stop) = watch::channel(false);
    let plan = Plan { rate: 100.0, length: Duration::from_millis(10), connections: 1, ..Plan::default() };
    let sent = meshy_load::run(target(stage, ingress), plan, stop, |_| {}).await?;
    match sent.outcomes_count.keys().find(|outcome| outcome.starts_with("connection")) {
        None => Ok(()),
        Some(outcome) => Err(anyhow!("{outcome}"))
            .with_context(|| format!("cannot reach the ingress at {}", stage.ingress)),
    }
}

/// On a real Linkerd a proxy that has once known the profile follows each later change at once; one that discovered the
/// service before the first profile does not, until it was idle.
///
/// # Errors
/// As [`switch`].
pub async fn warm_up(stage: &Stage, session: &mut Session, deadline: Instant) -> anyhow::Result<()> {
    warm(async |on, ingress| switch(stage, session, on, ingress, deadline).await).await
}

/// Each case's client must have seen the profile once before it goes again.
async fn warm(mut switch: impl AsyncFnMut(bool, bool) -> anyhow::Result<()>) -> anyhow::Result<()> {
    switch(true, false).await?;
    switch(true, true).await?;
    switch(false, false).await
}

/// Whether the story came true: in both cases the intervals with and without the profile lie apart, and deleting it
/// brought the failures back.
pub fn verdict(steps: &[Step]) -> Verdict {
    let share = |name: &str| {
        let step = steps.iter().find(|step| step.name == name)?;
        Some(Interval::of_share(step.traffic.succeeded_count, step.traffic.requests_count))
    };
    let pairs =
        [("no profile", "profile on"), ("profile off", "profile on"), ("ingress, off", "ingress, on")];
    let mut missing = Vec::new();
    for (off, on) in pairs {
        match share(off).zip(share(on)) {
            Some((without, with)) if without.high < with.low => {}
            Some(_) => missing.push(format!("`{off}` and `{on}` cannot be distinguished")),
            None => missing.push(format!("`{off}` or `{on}` was not measured")),
        }
    }
    if !missing.is_empty() {
        let text = format!("The story did not come true: {}.", missing.join("; "));
        return Verdict { holds: false, text };
    }
    let percent = |name: &str| {
        let step = steps.iter().find(|step| step.name == name).expect("distinguished, so measured");
        points(step.traffic.success_ratio.unwrap_or_default(), step.traffic.requests_count)
    };
    let mesh = steps.iter().find(|step| step.name == "profile on").and_then(|step| step.mesh.as_ref());
    let price = mesh.and_then(|mesh| mesh.outcomes.added_attempts_per_request);
    let price = price.map(|added| format!(", for {:.0} % more load on the service", added * 100.0));
    let text = format!(
        "The story came true: retries took the user's success from {} % to {} % between services and from \
         {} % to {} % at the ingress{}. The service itself failed as before.",
        percent("no profile"),
        percent("profile on"),
        percent("ingress, off"),
        percent("ingress, on"),
        price.unwrap_or_default()
    );
    Verdict { holds: true, text }
}

/// Before and after, both views.
pub fn table(steps: &[Step]) -> String {
    let mut text = summary::of_steps(steps);
    for step in steps.iter().filter(|step| step.name == "profile on") {
        if let Some(mesh) = &step.mesh {
            text.push_str(&format!(
                "\n\nWith the profile on:\n{}",
                summary::of_counted_outcomes(&mesh.outcomes)
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_load::Summary;
    use meshy_policy::policy::Pauses;
    use meshy_policy::policy::probe::until;

    fn steps(succeeded: [u64; 5]) -> Vec<Step> {
        let step = |(scene, succeeded_count): (&Scene, u64)| {
            let traffic = Summary {
                requests_count: 100,
                succeeded_count,
                success_ratio: Some(succeeded_count as f64 / 100.0),
                ..Summary::default()
            };
            Step { name: scene.name.to_owned(), traffic, ..Step::default() }
        };
        SCENES.iter().zip(succeeded).map(step).collect()
    }

    #[test]
    fn the_story_is_true_when_the_intervals_lie_apart() {
        assert!(verdict(&steps([30, 100, 30, 32, 99])).holds);
    }

    #[test]
    fn a_lucky_point_is_not_enough() {
        let verdict = verdict(&steps([30, 100, 30, 45, 62]));
        assert!(!verdict.holds && verdict.text.contains("ingress"), "{verdict:?}");
    }

    /// A proxy as Linkerd's: what it discovered without a profile stays until five seconds passed with no request; once it
    /// has seen a profile it follows each change.
    #[derive(Default)]
    struct Proxy {
        asked: Option<Instant>,
        warm: bool,
    }

    impl Proxy {
        fn follows(&mut self, profile: bool) -> bool {
            let idle = self.asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(5));
            self.asked = Some(Instant::now());
            self.warm |= idle && profile;
            self.warm && profile
        }
    }

    /// Switches and says how long it took until the case's proxy followed.
    async fn switched(proxies: &mut [Proxy; 2], on: bool, ingress: bool) -> Duration {
        let begun = Instant::now();
        let probe = async || Ok(proxies[usize::from(ingress)].follows(on) == on);
        let followed = until(Pauses::LikeLinkerd, begun + IN_USE, probe).await.unwrap();
        assert!(followed, "on {on}, ingress {ingress}");
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_real_proxy_that_was_warmed_up_follows_each_switch_at_once() {
        let known = || [(); 2].map(|()| Proxy { asked: Some(Instant::now()), warm: false });
        let mut cold = known();
        assert!(switched(&mut cold, true, true).await > Duration::from_secs(5), "nothing to warm up for");
        let mut proxies = known();
        warm(async |on, ingress| {
            switched(&mut proxies, on, ingress).await;
            Ok(())
        })
        .await
        .unwrap();
        for scene in SCENES {
            assert_eq!(
                switched(&mut proxies, scene.profile, scene.ingress).await,
                Duration::ZERO,
                "{scene:?}"
            );
        }
    }

    #[test]
    fn a_profile_that_stays_in_force_is_seen() {
        assert!(!verdict(&steps([30, 100, 100, 30, 100])).holds);
        assert!(!verdict(&steps([30, 100, 30, 30, 100])[..4]).holds);
    }
}
