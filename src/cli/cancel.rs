//! `colonyos-operator cancel KIND/NAME`: ends the work of an object and keeps the object.
//!
//! It writes to the object alone, with the permissions of its user: `spec.cancel` of a process or a workflow, the state of a
//! request. The operator, which obeys that, cancels what is in the colony.

use clap::Args;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Failure,
    connection::Connection,
    create::reference,
    explain::facts::Facts,
    output::Output,
    served::{ServedKind, kind_and_name},
};
use crate::{
    api::{kind::Kind, request_state::State},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
};

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The object: `colonyprocess/NAME`, `colonyworkflow/NAME` or `requeststate/NAME`
    #[arg(value_name = "KIND/NAME")]
    object: String,
    #[command(flatten)]
    connection: Connection,
    /// Form of the output: `json` and `yaml` are the object
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Cancels what an object has in a colony.
///
/// # Errors
///
/// When it cannot be cancelled; what to do instead.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (object, said) = Runtime::new()?.block_on(cancel(arguments))?;
    arguments.output.print(|| format!("{} {said}\n", reference(&object)), || object.clone())
}

async fn cancel(arguments: &Arguments) -> Result<(Value, &'static str), Failure> {
    let (kind, name) = kind_and_name(&arguments.object)?;
    let kubernetes = arguments.connection.connect().await?;
    let served = ServedKind::called(&kubernetes, kind).await?;
    let object = served.get(&kubernetes, name).await?;
    let Cancellation { patch, said } = decide(&object)?;
    let Some(patch) = patch else { return Ok((object, said)) };
    let api = served.api(&kubernetes, Some(&kubernetes.namespace));
    let patched = call(CALL_TIME_LIMIT, api.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await;
    let what = format!("cancel {}", served.named(&kubernetes.namespace, name));
    Ok((served.whole(patched.map_err(|error| error.explain(&what))?)?, said))
}

/// What is written, if anything is, and what is said of it.
#[derive(Debug, PartialEq)]
struct Cancellation {
    patch: Option<Value>,
    said: &'static str,
}

fn decide(object: &Value) -> Result<Cancellation, String> {
    const ASKED: &str = "is being cancelled";
    let facts = Facts { object: object.clone(), ..Facts::default() };
    let name = facts.text("/metadata/name");
    let patch = match facts.kind() {
        Kind::ColonyProcess | Kind::ColonyWorkflow if facts.is_over() => None,
        Kind::ColonyProcess | Kind::ColonyWorkflow => Some(json!({ "spec": { "cancel": true } })),
        Kind::RequestState => {
            let state: Option<State> = facts.part("/spec/state");
            match state {
                Some(State::Cancelled) => None,
                Some(state) if state.has_ended() && facts.is_over() => None,
                // Nothing of it is in the colony, and the state says what a director is to decide.
                Some(state) if state.has_ended() => {
                    return Err(format!(
                        "RequestState {name} is between two jobs ({} {}): cancel it when the next is REQUESTED, or delete it",
                        facts.text("/spec/job"),
                        state.as_str(),
                    ));
                }
                _ => Some(json!({ "spec": { "state": State::Cancelled.as_str() } })),
            }
        }
        Kind::ColonyCron => {
            return Err(format!(
                "a ColonyCron has runs and no work of its own: cancel a run (kubectl get colonyprocesses,colonyworkflows -l colonies.io/cron={name}), or stop the schedule: kubectl patch colonycron {name} --type merge -p '{{\"spec\":{{\"suspend\":true}}}}'"
            ));
        }
        Kind::ExecutorDeployment => {
            return Err(format!(
                "an ExecutorDeployment runs until it is deleted: to stop its executors, kubectl scale executordeployment {name} --replicas 0"
            ));
        }
        Kind::Instance => {
            let kind = facts.text("/kind");
            return Err(format!(
                "the work of a {kind} is cancelled when it is deleted: kubectl delete {} {name}",
                kind.to_lowercase()
            ));
        }
        kind => return Err(format!("a {} has no work in a colony that can be cancelled", kind.name())),
    };
    let said = if patch.is_some() { ASKED } else { "has ended already" };
    Ok(Cancellation { patch, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, kind: &str, spec: &Value, finished: &str) -> Value {
        json!({
            "apiVersion": api_version, "kind": kind, "metadata": { "name": "x" }, "spec": spec,
            "status": { "conditions": [
                { "type": "Finished", "status": finished, "reason": "R", "message": "", "lastTransitionTime": "2026-11-21T10:00:00Z" },
            ] },
        })
    }

    #[test]
    fn work_is_cancelled_by_the_field_that_the_operator_obeys() {
        for kind in ["ColonyProcess", "ColonyWorkflow"] {
            let running = decide(&object("colonies.io/v1", kind, &json!({}), "False")).unwrap();
            assert_eq!(running.patch, Some(json!({ "spec": { "cancel": true } })));
            let over = decide(&object("colonies.io/v1", kind, &json!({}), "True")).unwrap();
            assert_eq!(over, Cancellation { patch: None, said: "has ended already" });
        }
        let request = |state: &str, finished: &str| {
            let spec = json!({ "job": "JOB1", "state": state });
            decide(&object("com.redhat.ecosystem.sample/v1", "RequestState", &spec, finished))
        };
        for state in ["REQUESTED", "STARTED"] {
            assert_eq!(
                request(state, "False").unwrap().patch,
                Some(json!({ "spec": { "state": "CANCELLED" } }))
            );
        }
        assert_eq!(request("CANCELLED", "False").unwrap().patch, None);
        assert_eq!(request("COMPLETED", "True").unwrap().patch, None);
        // The API server would refuse it: the next job may be on its way.
        assert!(request("COMPLETED", "False").unwrap_err().contains("between two jobs (JOB1 COMPLETED)"));
    }

    #[test]
    fn what_has_no_work_of_its_own_says_what_to_do_instead() {
        for (api_version, kind, remedy) in [
            ("colonies.io/v1", "ColonyCron", "{\"spec\":{\"suspend\":true}}"),
            ("compute.colonies.io/v1", "ExecutorDeployment", "--replicas 0"),
            ("ml.example.com/v1", "MLModel", "kubectl delete mlmodel x"),
            ("colonies.io/v1", "Colony", "no work"),
        ] {
            let error = decide(&object(api_version, kind, &json!({}), "False")).unwrap_err();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
