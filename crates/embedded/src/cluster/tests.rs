use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::Api;
use kube::api::{DeleteParams, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use meshy_net::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::{Cluster, Options};
use crate::program::{Execution, ExitCode, Images, Program, Programs};

/// A wait that takes longer fails the test.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A program that is a function.
struct Function<F>(F);

impl<F, Run> Program for Function<F>
where
    F: Fn(Execution) -> Run + Send + Sync + 'static,
    Run: Future<Output = ExitCode> + Send + 'static,
{
    fn run(&self, execution: Execution) -> BoxFuture<'static, ExitCode> {
        Box::pin((self.0)(execution))
    }
}

/// Starts a cluster that runs a function as the program of the image `test`.
async fn cluster_with<F, Run>(program: F) -> (Cluster, Api<Pod>)
where
    F: Fn(Execution) -> Run + Send + Sync + 'static,
    Run: Future<Output = ExitCode> + Send + 'static,
{
    let mut programs = Programs::default();
    programs.register(Images::named("test"), Function(program));
    let options = Options { api_addr: None, ..Options::ephemeral("test") };
    let cluster = Cluster::start_with_programs(options, programs).await.expect("a cluster");
    let pods = Api::namespaced(cluster.client(), "default");
    (cluster, pods)
}

/// Creates the pod `test` with one container of the image `test`.
async fn create(pods: &Api<Pod>, spec: Value, container: Value) {
    let mut pod = json!({
        "metadata": { "name": "test" },
        "spec": { "containers": [{ "name": "test", "image": "test" }] },
    });
    merge(&mut pod["spec"], spec);
    merge(&mut pod["spec"]["containers"][0], container);
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    pods.create(&PostParams::default(), &pod).await.expect("a created pod");
}

fn merge(target: &mut Value, fields: Value) {
    let (Value::Object(target), Value::Object(fields)) = (target, fields) else { panic!("two objects") };
    target.extend(fields);
}

/// Waits until the status of the container meets a condition.
async fn wait_for(pods: &Api<Pod>, is_met: impl Fn(&ContainerStatus) -> bool) {
    let container = |pod: Option<&Pod>| {
        let status = pod.and_then(|pod| pod.status.as_ref());
        status.and_then(|status| status.container_statuses.as_ref()).is_some_and(|all| is_met(&all[0]))
    };
    let met = timeout(TIMEOUT, await_condition(pods.clone(), "test", container)).await;
    assert!(met.is_ok(), "the container does not meet the condition: {:?}", pods.get("test").await);
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}

#[tokio::test]
async fn a_program_receives_command_args_environment_and_ports() {
    let received = Arc::new(Mutex::new(None));
    let sent = received.clone();
    let (_cluster, pods) = cluster_with(move |execution| {
        let Execution { command, args, env, ports, pod, .. } = execution;
        let name = pod.metadata.name.clone();
        *sent.lock().expect("no panic") = Some((command, args, env.get("NAME").cloned(), ports, name));
        async { 0 }
    })
    .await;
    let container = json!({
        "command": ["serve"], "args": ["--name=$(NAME)"], "env": [{ "name": "NAME", "value": "web" }],
        "ports": [{ "containerPort": 9090 }, { "containerPort": 9091 }],
    });
    create(&pods, json!({ "restartPolicy": "Never" }), container).await;
    wait_for(&pods, |status| exit_code(status) == Some(0)).await;
    let (command, args, name, ports, pod) = received.lock().expect("no panic").take().expect("an execution");
    assert_eq!((command, args), (vec!["serve".to_owned()], vec!["--name=web".to_owned()]));
    assert_eq!((name.as_deref(), ports, pod.as_deref()), (Some("web"), vec![9090, 9091], Some("test")));
}

#[tokio::test]
async fn a_container_has_the_exit_code_and_the_log_of_its_program() {
    let (_cluster, pods) = cluster_with(|execution| {
        execution.log.write("ERROR no configuration".to_owned());
        async { 3 }
    })
    .await;
    create(&pods, json!({ "restartPolicy": "Never" }), json!({})).await;
    wait_for(&pods, |status| exit_code(status) == Some(3)).await;
    let log = pods.logs("test", &LogParams::default()).await.expect("a log");
    assert_eq!(log, "ERROR no configuration\n");
}

#[tokio::test]
async fn a_container_without_readiness_probe_is_ready_when_its_program_reports_it() {
    let started = Arc::new(Notify::new());
    let start = started.clone();
    let (_cluster, pods) = cluster_with(move |execution| {
        let start = start.clone();
        async move {
            start.notified().await;
            execution.ready.set();
            execution.termination.requested().await;
            0
        }
    })
    .await;
    create(&pods, json!({}), json!({})).await;
    wait_for(&pods, |status| is_running(status) && status.started == Some(true)).await;
    let status = pods.get("test").await.expect("the pod").status.expect("a status");
    assert!(!status.container_statuses.expect("containers")[0].ready, "the program has not reported it");
    started.notify_one();
    wait_for(&pods, |status| status.ready).await;
}

#[tokio::test]
async fn a_container_starts_after_its_init_containers_have_exited() {
    let (finish_init, started) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
    let (init, log) = (finish_init.clone(), started.clone());
    let (_cluster, pods) = cluster_with(move |execution| {
        let (init, name) = (init.clone(), execution.args.concat());
        log.lock().expect("no panic").push(name.clone());
        async move {
            match name.as_str() {
                "init" => init.notified().await,
                _ => execution.termination.requested().await,
            }
            0
        }
    })
    .await;
    let init_container = json!({ "name": "init", "image": "test", "args": ["init"] });
    create(&pods, json!({ "initContainers": [init_container] }), json!({ "args": ["main"] })).await;
    let init_is_running = |pod: Option<&Pod>| {
        let statuses = pod.and_then(|pod| pod.status.as_ref()?.init_container_statuses.as_ref());
        statuses.is_some_and(|all| is_running(&all[0]) && all[0].started == Some(true))
    };
    timeout(TIMEOUT, await_condition(pods.clone(), "test", init_is_running)).await.expect("no timeout").ok();
    assert_eq!(*started.lock().expect("no panic"), ["init"]);
    finish_init.notify_one();
    wait_for(&pods, is_running).await;
    assert_eq!(*started.lock().expect("no panic"), ["init", "main"]);
}

#[tokio::test(start_paused = true)]
async fn a_program_can_finish_its_work_within_the_grace_period() {
    let (_cluster, pods) = cluster_with(|execution| async move {
        execution.termination.requested().await;
        tokio::time::sleep(execution.termination.grace_period() / 2).await;
        0
    })
    .await;
    // The liveness probe fails: nothing listens on the port.
    let probe = json!({ "tcpSocket": { "port": 1 }, "periodSeconds": 1, "failureThreshold": 1 });
    let spec = json!({ "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 20 });
    create(&pods, spec, json!({ "livenessProbe": probe })).await;
    wait_for(&pods, |status| exit_code(status) == Some(0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_program_that_ignores_termination_is_killed_after_the_grace_period() {
    let (_cluster, pods) = cluster_with(|_| pending()).await;
    let probe = json!({ "tcpSocket": { "port": 1 }, "periodSeconds": 1, "failureThreshold": 1 });
    let spec = json!({ "restartPolicy": "Always", "terminationGracePeriodSeconds": 20 });
    create(&pods, spec, json!({ "livenessProbe": probe })).await;
    let start = Instant::now();
    wait_for(&pods, |status| {
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        status.restart_count == 1 && last.is_some_and(|end| end.exit_code == 137)
    })
    .await;
    assert!(start.elapsed() >= Duration::from_secs(20));
}

/// Counts the drops of a run.
struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_a_pod_kills_its_program_after_the_grace_period_of_the_deletion() {
    let killed = Arc::new(Notify::new());
    let on_kill = killed.clone();
    let (_cluster, pods) = cluster_with(move |_| {
        let guard = OnDrop(on_kill.clone());
        async move {
            let _guard = guard;
            pending().await
        }
    })
    .await;
    create(&pods, json!({}), json!({})).await;
    wait_for(&pods, is_running).await;
    let start = Instant::now();
    pods.delete("test", &DeleteParams::default().grace_period(5)).await.expect("a deletion");
    timeout(TIMEOUT, killed.notified()).await.expect("the run is dropped");
    assert!((5..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}
