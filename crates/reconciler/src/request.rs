//! Processes that the server queues for a reconciler, and what they are answered. Pure.

use std::time::Duration;

use colonyos_client::SubmittedSpec;
use serde_json::{Value, json};

use crate::{
    fleet::KIND,
    name::quoted,
    plan::Progress,
    snapshot::{Snapshot, Wish},
};

/// The function that the server queues when a blueprint was removed.
const CLEANUP: &str = "cleanup";

/// What a process asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// One blueprint is to be as it should; with new replicas, if that is forced.
    One(String, bool),
    /// All of them are; the server's cron asks for it each minute.
    All,
    /// What a blueprint that was removed has left is to go.
    Cleanup(String),
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// With this output.
    Done(Value),
    /// With these reasons.
    Failed(Vec<String>),
}

impl Request {
    /// Reads what a process asks for.
    ///
    /// # Errors
    /// When it is nothing that a reconciler does.
    pub fn parse(spec: &SubmittedSpec) -> Result<Self, String> {
        let text = |name: &str| spec.kwargs.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        match text("kind") {
            Some(KIND) => {}
            Some(other) => {
                return Err(format!(
                    "kind {}: this reconciler carries out blueprints of kind {KIND}",
                    quoted(other)
                ));
            }
            None => {
                return Err(format!(
                    "function {}: give the keyword arguments kind and blueprintName, as the server does",
                    quoted(&spec.function)
                ));
            }
        }
        let name = text("blueprintName").map(str::to_owned);
        match (spec.function.as_str(), name) {
            (CLEANUP, Some(name)) => Ok(Self::Cleanup(name)),
            (CLEANUP, None) => Err("cleanup: give the keyword argument blueprintName".to_owned()),
            (_, Some(name)) => Ok(Self::One(name, spec.kwargs.get("force") == Some(&Value::Bool(true)))),
            (_, None) => Ok(Self::All),
        }
    }
}

/// What a request is answered after a pass; `None` while it is to wait. `waited` is how long it has, `patience` how long it may.
#[must_use]
pub fn answer(
    request: &Request,
    snapshot: &Snapshot,
    progress: &[Progress],
    place: &str,
    waited: Duration,
    patience: Duration,
) -> Option<Answer> {
    match request {
        Request::All => Some(Answer::Done(json!(
            snapshot.wishes.iter().map(|wish| told(wish, progress)).collect::<Vec<_>>()
        ))),
        Request::Cleanup(name) if snapshot.wishes.iter().any(|wish| wish.name() == name) => {
            Some(Answer::Done(
                json!({"blueprint": name, "message": "there is a blueprint of that name: nothing is removed"}),
            ))
        }
        Request::Cleanup(name) => {
            let left = snapshot.replicas.iter().filter(|replica| replica.name.fleet.as_str() == name).count();
            if left == 0 {
                Some(Answer::Done(json!({"blueprint": name, "runningInstances": 0})))
            } else {
                (waited > patience).then(|| Answer::Done(json!({"blueprint": name, "runningInstances": left, "message": "they go as soon as they run no process"})))
            }
        }
        Request::One(name, _) => match snapshot.wishes.iter().find(|wish| wish.name() == name) {
            None => Some(Answer::Failed(vec![format!(
                "blueprint {}: there is none for this reconciler ({place}): check metadata.locationname, the handler of the definition, \
                 and spec.runtime",
                quoted(name)
            )])),
            Some(Wish::Refused(refused)) => Some(Answer::Failed(refused.reasons.clone())),
            Some(wish) => {
                let progress = progress.iter().find(|progress| progress.fleet.as_str() == name);
                match progress {
                    Some(progress) if progress.waits.is_empty() => {
                        Some(Answer::Done(told(wish, std::slice::from_ref(progress))))
                    }
                    _ if waited <= patience => None,
                    Some(progress) => Some(Answer::Failed(progress.waits.clone())),
                    None => Some(Answer::Failed(vec!["it was not looked at in time".to_owned()])),
                }
            }
        },
    }
}

fn told(wish: &Wish, progress: &[Progress]) -> Value {
    match wish {
        Wish::Refused(refused) => {
            json!({"blueprint": refused.name, "generation": refused.generation, "errors": refused.reasons})
        }
        Wish::Fleet(fleet) => {
            let progress = progress.iter().find(|progress| progress.fleet == fleet.name);
            json!({
                "blueprint": fleet.name.as_str(),
                "generation": fleet.generation,
                "replicas": fleet.replicas,
                "current": progress.map(|progress| progress.current),
                "waits": progress.map(|progress| progress.waits.clone()).unwrap_or_default(),
                "ignored": fleet.notes,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn asked(function: &str, kwargs: &Value) -> Result<Request, String> {
        let kwargs: Map<String, Value> = kwargs.as_object().cloned().unwrap_or_default();
        Request::parse(&SubmittedSpec { function: function.to_owned(), kwargs, ..SubmittedSpec::default() })
    }

    #[test]
    fn the_processes_of_the_server_are_understood_and_others_are_told_why_not() {
        let one = json!({"kind": KIND, "blueprintName": "ml", "force": true});
        assert_eq!(asked("reconcile", &one), Ok(Request::One("ml".into(), true)));
        assert_eq!(asked("reconcile", &json!({"kind": KIND})), Ok(Request::All));
        assert_eq!(asked("cleanup", &one), Ok(Request::Cleanup("ml".into())));
        assert!(asked("cleanup", &json!({"kind": KIND})).is_err());
        assert!(
            asked("reconcile", &json!({"kind": "Other", "blueprintName": "x"}))
                .unwrap_err()
                .contains("Other")
        );
        assert!(asked("echo", &json!({})).unwrap_err().contains("blueprintName"));
    }
}
