//! The operator beside programs of others: their director with the operator as worker, the operator as director with
//! their worker, and the same with our commands.

use std::time::Duration;

use colonyos_operator::{
    api::{
        colony::Colony,
        names::{DEFAULT_COLONY_ANNOTATION, REQUEST_EXECUTOR_TYPE},
        request_state::{RequestState, RequestStateSpec, State},
    },
    colony::Session,
    runtime::config::model::RequestRole,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    flows::{WAY, director, worker},
    program::Maker,
    record::{Record, assert_times, history},
    stage::alone,
    support::{
        colony::OwnColony,
        namespace::TestNamespace,
        operator::{Operator, Turn, configuration},
        wait::eventually,
    },
};

const LIMIT: Duration = Duration::from_secs(30);

/// The operator, a colony that every request uses, and an executor there that does whatever it is asked.
struct Stage {
    _operator: Operator,
    colony: OwnColony,
    work: JoinHandle<()>,
}

impl Stage {
    async fn start(namespace: &TestNamespace, role: RequestRole, turn: &Turn) -> Self {
        let colony = OwnColony::create(namespace).await;
        let colonies: Api<Colony> = Api::all(namespace.kubernetes.calls.clone());
        let default = json!({ "metadata": { "annotations": { DEFAULT_COLONY_ANNOTATION: "true" } } });
        colonies.patch(&colony.name, &PatchParams::default(), &Patch::Merge(default)).await.unwrap();
        let mut configuration = configuration(&namespace.name);
        configuration.request_roles = vec![role];
        let operator = Operator::start(configuration, &namespace.name, turn).await;
        colony.wait_until_ready().await;
        let executor = colony.executor("one", REQUEST_EXECUTOR_TYPE).await;
        Self { _operator: operator, colony, work: tokio::spawn(serve(executor)) }
    }

    async fn end(self) {
        self.work.abort();
        let Self { _operator: operator, colony, .. } = self;
        drop(operator);
        colony.remove().await;
    }
}

async fn serve(executor: Session) {
    loop {
        if let Some(process) = executor.assign(Duration::from_secs(5)).await.unwrap() {
            executor.close_successful(&process.id, &[json!(process.spec.function)]).await.unwrap();
        }
    }
}

/// The whole way and the whole history; and where another program moved it next, it was written there once.
async fn assert_whole(record: &Record, theirs: &[&str]) {
    let last = eventually("the way and the history are whole", LIMIT, async || {
        let last = record.last().ok_or("nothing is known yet")?;
        let is_whole = record.places() == WAY && history(&last) == WAY;
        is_whole.then_some(last.clone()).ok_or_else(|| format!("{:?}, {last:?}", record.writes()))
    })
    .await;
    assert_times(&last);
    for (place, count) in record.writes() {
        assert!(count == 1 || !theirs.contains(&place.as_str()), "it was written {count} times at {place}");
    }
}

async fn with_their_director(test: &str, maker: Maker) {
    alone(test, async |namespace| {
        let turn = Turn::take().await;
        let stage = Stage::start(&namespace, RequestRole::Worker, &turn).await;
        let record = Record::start(namespace.api::<RequestState>());
        let mut director = director(maker, &namespace.name).await;
        let status = director.wait_for_end().await;
        assert!(status.success(), "the director ends with {status}");
        assert_whole(&record, if maker == Maker::Other { &["JOB1 COMPLETED"] } else { &[] }).await;
        stage.end().await;
    })
    .await;
}

async fn with_their_worker(test: &str, maker: Maker) {
    alone(test, async |namespace| {
        let turn = Turn::take().await;
        let stage = Stage::start(&namespace, RequestRole::Director, &turn).await;
        let record = Record::start(namespace.api::<RequestState>());
        let mut worker = worker(maker, &namespace.name).await;
        let spec = RequestStateSpec {
            request_uid: "uid-1".to_owned(),
            job: "JOB1".to_owned(),
            state: State::Requested,
        };
        let requests: Api<RequestState> = namespace.api();
        requests.create(&PostParams::default(), &RequestState::new("order", spec)).await.unwrap();
        let theirs = ["JOB1 REQUESTED", "JOB1 STARTED", "JOB2 REQUESTED", "JOB2 STARTED"];
        assert_whole(&record, if maker == Maker::Other { &theirs } else { &[] }).await;
        worker.assert_running();
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn their_director_and_the_operator_as_worker() {
    with_their_director("operator-works", Maker::Other).await;
}

#[tokio::test]
async fn the_operator_as_director_and_their_worker() {
    with_their_worker("operator-directs", Maker::Other).await;
}

#[tokio::test]
async fn our_director_and_the_operator_as_worker() {
    with_their_director("operator-with-director", Maker::Ours).await;
}

#[tokio::test]
async fn the_operator_as_director_and_our_worker() {
    with_their_worker("operator-with-worker", Maker::Ours).await;
}
