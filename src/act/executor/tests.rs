use kube::api::ObjectMeta;
use parking_lot::Mutex;

use super::*;
use crate::{
    act::outcome::{Done, Effect, FailureKind, StepFailure},
    api::request_flow::{RequestFlow, RequestFlowSpec},
    diff::{ColonyStep, KubernetesStep},
};

/// A port at which some steps fail, by their place, and that stops leading after some.
struct Failing {
    failures: Vec<(usize, FailureKind)>,
    leads_for: usize,
    tried: Mutex<usize>,
}

impl Port for Failing {
    fn is_leader(&self) -> bool {
        *self.tried.lock() < self.leads_for
    }

    async fn execute<K: StatusKind>(&self, _: &Step, _: &Target<'_, K>) -> Result<Done, StepFailure> {
        let place = {
            let mut tried = self.tried.lock();
            *tried += 1;
            *tried - 1
        };
        match self.failures.iter().find(|(failing, _)| *failing == place) {
            Some((_, kind)) => Err(StepFailure { kind: *kind, message: "because".to_owned() }),
            None => Ok(Effect::Nothing.into()),
        }
    }
}

fn cluster() -> Step {
    Step::Kubernetes(KubernetesStep::DeleteIdentity { name: "a".to_owned(), uid: None })
}

fn colony() -> Step {
    Step::Colony(ColonyStep::RemoveExecutor { name: "a".to_owned() })
}

/// What came of steps: `d`one, `f`ailed or `s`kipped.
async fn came_of(
    steps: Vec<Step>,
    order: Order,
    failing: &[(usize, FailureKind)],
    leads_for: usize,
) -> String {
    let port = Failing { failures: failing.to_vec(), leads_for, tried: Mutex::new(0) };
    let object = RequestFlow {
        metadata: ObjectMeta::default(),
        spec: serde_json::from_value::<RequestFlowSpec>(serde_json::json!({ "jobs": [] })).unwrap(),
        status: None,
    };
    let target = Target { object: &object, kind: &(), finalizer: None, connection: None, colony: None };
    let outcome = Actor::new(port).execute(Plan { steps, order, ..Plan::default() }, &target).await;
    let letter = |result: &StepResult| match result {
        StepResult::Done(_) => 'd',
        StepResult::Failed(_) => 'f',
        StepResult::Skipped => 's',
    };
    outcome.results.iter().map(letter).collect()
}

/// The cluster is kept right while the colony is away, and the other way round.
#[tokio::test]
async fn a_failure_holds_up_what_the_order_says() {
    let steps = || vec![cluster(), colony(), cluster(), colony()];
    let failing = [(0, FailureKind::Unavailable)];
    assert_eq!(came_of(steps(), Order::BySide, &failing, 9).await, "fdsd");
    assert_eq!(came_of(steps(), Order::Strict, &failing, 9).await, "fsss");
    assert_eq!(came_of(steps(), Order::BySide, &[], 9).await, "dddd");
}

/// Who does not lead any more begins nothing, and nothing has failed.
#[tokio::test]
async fn nothing_is_written_once_another_replica_leads() {
    assert_eq!(came_of(vec![cluster(), colony(), cluster()], Order::BySide, &[], 1).await, "dss");
}
