//! How long after a request is created an executor has its process, and how long after the process has ended the request
//! is `COMPLETED`, while many other requests are open. Beside them what the colony alone takes: from a submit to an
//! executor, and from a close to a websocket.
//!
//! `cargo xtask bench` starts the servers and runs it; `BENCH_ROUNDS` is how many of each (100), `BENCH_OPEN` how many
//! requests are open meanwhile (1000).

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures, and takes its servers from the environment"
)]

use std::{
    env,
    time::{Duration, Instant},
};

use colonyos_operator::{
    api::{
        colony::Colony,
        request_state::{RequestState, State},
    },
    colony::{
        Client, FunctionSpec, NewExecutor, NewUser, PrivateKey, Process, ProcessState, Server, Session,
        Timeouts, Tls,
    },
    runtime::kubernetes::{Kubernetes, connect},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use tokio::sync::mpsc;

mod stage;

use stage::{Failure, LIMIT, Operator, show, variable};

/// The executors that are measured.
const BUSY: &str = "bench-busy";
/// A type that no executor serves: such requests stay open.
const IDLE: &str = "bench-unserved";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let number = |name: &str, usual| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (rounds, open) = (number("BENCH_ROUNDS", 100), number("BENCH_OPEN", 1000));
    let kubernetes = connect().await?;
    let namespace = format!("bench-{}", std::process::id());
    let namespaces = Api::<Namespace>::all(kubernetes.calls.clone());
    let metadata = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let operator = Operator::start(&kubernetes, &namespace).await?;
    let result = measure(&kubernetes, &namespace, rounds, open).await;
    drop(operator);
    release(&kubernetes, &namespace).await?;
    namespaces.delete(&namespace, &DeleteParams::default()).await?;
    Api::<Colony>::all(kubernetes.calls.clone()).delete(&namespace, &DeleteParams::default()).await?;
    let Figures { to_executor, to_completed, floor_to_executor, floor_to_told } = result?;
    println!("with {open} requests open:");
    let [begin, begin_most] = show("request to process", to_executor);
    let [floor, floor_most] = show("submit to process", floor_to_executor);
    println!("ratio               p50 {:.1}   p99 {:.1}", begin / floor, begin_most / floor_most);
    let [end, end_most] = show("end to COMPLETED", to_completed);
    let [floor, floor_most] = show("end to websocket", floor_to_told);
    println!("ratio               p50 {:.1}   p99 {:.1}", end / floor, end_most / floor_most);
    Ok(())
}

#[derive(Default)]
struct Figures {
    to_executor: Vec<Duration>,
    to_completed: Vec<Duration>,
    floor_to_executor: Vec<Duration>,
    floor_to_told: Vec<Duration>,
}

async fn measure(
    kubernetes: &Kubernetes,
    namespace: &str,
    rounds: usize,
    open: usize,
) -> Result<Figures, Failure> {
    let (member, executor) = people(namespace).await?;
    let requests = Api::<RequestState>::namespaced(kubernetes.calls.clone(), namespace);
    let waiting = (0..open).map(|index| create(&requests, namespace, format!("open-{index}"), IDLE));
    stream::iter(waiting).buffer_unordered(16).try_collect::<Vec<()>>().await?;
    until_submitted(&requests, open).await?;

    let (sender, mut completed) = mpsc::unbounded_channel();
    let watched = Api::<RequestState>::namespaced(kubernetes.watches.clone(), namespace);
    let follow = tokio::spawn(async move {
        let mut seen = Box::pin(watcher(watched, watcher::Config::default()).applied_objects());
        while let Some(change) = seen.next().await {
            if let Ok(request) = change
                && request.spec.state == State::Completed
                && sender.send((request.name_any(), Instant::now())).is_err()
            {
                break;
            }
        }
    });
    let mut figures = Figures::default();
    // One round more than is counted: the first one pays for connections.
    for round in 0..=rounds {
        let name = format!("measured-{round}");
        let created = Instant::now();
        create(&requests, namespace, name.clone(), BUSY).await?;
        let process = assigned(&executor).await?;
        let to_executor = created.elapsed();
        executor.close_successful(&process.id, &[]).await?;
        let ended = Instant::now();
        let to_completed = loop {
            let (seen, at) = tokio::time::timeout(LIMIT, completed.recv()).await?.ok_or("the watch ended")?;
            if seen == name {
                break at.saturating_duration_since(ended);
            }
        };
        let (floor_to_executor, floor_to_told) = floor(&member, &executor).await?;
        if round > 0 {
            figures.to_executor.push(to_executor);
            figures.to_completed.push(to_completed);
            figures.floor_to_executor.push(floor_to_executor);
            figures.floor_to_told.push(floor_to_told);
        }
    }
    follow.abort();
    Ok(figures)
}

/// What the colony takes by itself.
async fn floor(member: &Session, executor: &Session) -> Result<(Duration, Duration), Failure> {
    let submitted = Instant::now();
    let process = member.submit(&FunctionSpec::new(member.colony(), BUSY, "floor")?).await?;
    let mut told = member.subscribe(&process.id, ProcessState::Successful, LIMIT).await?;
    let process = assigned(executor).await?;
    let to_executor = submitted.elapsed();
    let ended = Instant::now();
    let (closed, _) = tokio::join!(executor.close_successful(&process.id, &[]), told.next());
    closed?;
    Ok((to_executor, ended.elapsed()))
}

async fn assigned(executor: &Session) -> Result<Process, Failure> {
    Ok(executor.assign(LIMIT).await?.ok_or("no process came")?)
}

/// A member of the colony and an executor in it.
async fn people(namespace: &str) -> Result<(Session, Session), Failure> {
    let server = Server {
        host: variable("COLONIES_SERVER_HOST")?,
        port: variable("COLONIES_SERVER_PORT")?.parse()?,
        tls: Tls::Insecure,
    };
    let colony = variable("COLONIES_COLONY_NAME")?;
    let client = Client::new(&server, Timeouts::default())?;
    let owner = client.session(&colony, PrivateKey::from_hex(&variable("COLONIES_COLONY_PRVKEY")?)?);
    let (member, executor) =
        (client.session(&colony, PrivateKey::generate()?), client.session(&colony, PrivateKey::generate()?));
    owner.add_user(&NewUser::new(&colony, &format!("user-of-{namespace}"), member.id().clone())?).await?;
    let name = format!("executor-of-{namespace}");
    owner.add_executor(&NewExecutor::new(&colony, &name, BUSY, executor.id().clone())?).await?;
    owner.approve_executor(&name).await?;
    Ok((member, executor))
}

/// Creates a request of a single job.
async fn create(
    requests: &Api<RequestState>,
    namespace: &str,
    name: String,
    executor_type: &str,
) -> Result<(), Failure> {
    let annotations = json!({
        "colonies.io/colony": namespace, "colonies.io/flow": "JOB1,", "colonies.io/executor-type": executor_type,
    });
    let request = serde_json::from_value(json!({
        "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
        "metadata": { "name": name, "annotations": annotations },
        "spec": { "request-uid": name, "job": "JOB1", "state": "REQUESTED" },
    }))?;
    requests.create(&PostParams::default(), &request).await?;
    Ok(())
}

async fn until_submitted(requests: &Api<RequestState>, wanted: usize) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let list = requests.list(&ListParams::default()).await?;
        let is_submitted = |request: &&RequestState| {
            let mirror = request.status.as_ref().and_then(|status| status.mirror.as_ref());
            mirror.is_some_and(|mirror| mirror.process_id.is_some())
        };
        let count = list.iter().filter(is_submitted).count();
        if count == wanted {
            println!("{wanted} requests submitted within {:.1} s", started.elapsed().as_secs_f64());
            return Ok(());
        }
        if started.elapsed() > LIMIT * 20 {
            return Err(format!("{count} of {wanted} are submitted").into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The operator is gone, so that the finalizers of the requests have no other owner.
async fn release(kubernetes: &Kubernetes, namespace: &str) -> Result<(), Failure> {
    let requests = Api::<RequestState>::namespaced(kubernetes.calls.clone(), namespace);
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    for request in requests.list(&ListParams::default()).await? {
        requests.patch(&request.name_any(), &PatchParams::default(), &patch).await?;
    }
    Ok(())
}
