//! What an operator looks after in a cluster, in the order in which it can go. Pure.

use kube::core::ApiResource;
use serde_json::Value;

use crate::api::{kind::Kind, names::PAUSED_ANNOTATION};

/// An object that is to go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Left {
    /// Its kind, as a person calls it.
    pub kind: String,
    /// Its namespace, if it is in one.
    pub namespace: Option<String>,
    pub name: String,
    /// What holds it.
    pub finalizers: Vec<String>,
    /// What is in a colony for it.
    pub in_colony: Vec<String>,
    /// Whether that stays there, as its policy says.
    pub is_orphaned: bool,
    /// What a user has to do before it can go, or what it says while it does not.
    pub remark: Option<String>,
}

/// The objects that go in one step.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// What they are.
    pub kind: Kind,
    /// Why they go at this point.
    pub why: &'static str,
    /// With the resources by which they are deleted.
    pub objects: Vec<(ApiResource, Left)>,
}

/// All that there is.
#[derive(Clone, Debug)]
pub(super) struct Inventory {
    /// The operator's own namespace.
    pub namespace: String,
    /// Whether an operator holds the lease; none if it needs none.
    pub is_running: Option<bool>,
    /// The steps that have objects, in their order.
    pub groups: Vec<Group>,
    /// Name of the lease, if there is one.
    pub lease: Option<String>,
    /// Secrets in the operator's own namespace that it has made.
    pub secrets: Vec<String>,
    /// Secrets there that users have made for Colonies.
    pub users_secrets: Vec<String>,
    /// The operator's definitions that the cluster has, with the number of all of their objects.
    pub crds: Vec<(String, usize)>,
}

impl Left {
    /// An object as the API server describes it.
    pub fn of(kind: &str, object: &Value) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let owned = |pointer: &str| text(pointer).map(str::to_owned);
        let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        let finalizers = finalizers.into_iter().flatten().filter_map(|one| Some(one.as_str()?.to_owned()));
        let process = text("/status/mirror/processId").filter(|_| may_live(text("/status/mirror/state")));
        let parts = [
            ("process", process),
            ("blueprint", text("/status/blueprint/name")),
            ("executor", text("/status/executor/name")),
        ];
        let colony = text("/status/colony/name").map(|name| format!(" in Colony {name}")).unwrap_or_default();
        let in_colony = parts.iter().filter_map(|(what, name)| Some(format!("{what} {}{colony}", (*name)?)));
        let is_paused = object.pointer("/metadata/annotations").and_then(|all| all.get(PAUSED_ANNOTATION));
        let remark = if is_paused == Some(&Value::from("true")) {
            Some(format!("it is paused: remove the annotation {PAUSED_ANNOTATION}, or it stays"))
        } else {
            text("/metadata/deletionTimestamp").and_then(|_| said(object))
        };
        Self {
            kind: kind.to_owned(),
            namespace: owned("/metadata/namespace"),
            name: owned("/metadata/name").unwrap_or_default(),
            finalizers: finalizers.collect(),
            in_colony: in_colony.collect(),
            is_orphaned: text("/spec/deletionPolicy") == Some("Orphan"),
            remark,
        }
    }

    /// Its name, with its namespace if it has one.
    pub fn place(&self) -> String {
        self.namespace.as_ref().map_or_else(|| self.name.clone(), |place| format!("{place}/{}", self.name))
    }
}

/// Whether a process in that state is one that a deletion ends.
fn may_live(state: Option<&str>) -> bool {
    !matches!(state, Some("Successful" | "Failed" | "Cancelled" | "Lost"))
}

/// What an object that is being deleted says of it.
fn said(object: &Value) -> Option<String> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let of = |kind: &str| conditions.iter().find(|condition| condition["type"] == kind);
    let found = ["Progressing", "Ready", "Finished"].into_iter().find_map(of)?;
    found["message"].as_str().filter(|message| !message.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::kind::UNINSTALL_ORDER;

    #[test]
    fn every_kind_has_its_place_and_what_creates_objects_goes_before_them() {
        let place = |kind| UNINSTALL_ORDER.iter().position(|(one, _)| *one == kind).unwrap();
        for kind in Kind::ALL {
            place(*kind);
        }
        assert!(place(Kind::ColonyCron) < place(Kind::ColonyProcess));
        assert!(place(Kind::Instance) < place(Kind::ResourceDefinition));
        for made in [Kind::ColonyProcess, Kind::ColonyWorkflow, Kind::ExecutorDeployment] {
            assert!(place(Kind::Instance) < place(made));
        }
        assert_eq!(place(Kind::Colony), UNINSTALL_ORDER.len() - 1, "everything else is ended through it");
    }

    #[test]
    fn an_object_says_what_holds_it_and_what_is_in_its_colony() {
        let object = json!({
            "metadata": { "name": "a", "namespace": "n", "finalizers": ["f"],
                          "annotations": { "colonies.io/paused": "true" } },
            "spec": { "deletionPolicy": "Orphan" },
            "status": { "colony": { "name": "dev" }, "mirror": { "processId": "p", "state": "Running" },
                        "executor": { "name": "e" } },
        });
        let left = Left::of("ExecutorDeployment", &object);
        assert_eq!(left.place(), "n/a");
        assert_eq!(left.in_colony, ["process p in Colony dev", "executor e in Colony dev"]);
        assert!(left.is_orphaned && left.remark.unwrap().contains("paused"));
        let over = json!({ "metadata": { "name": "b", "deletionTimestamp": "now" }, "status": {
            "mirror": { "processId": "p", "state": "Failed" },
            "conditions": [{ "type": "Progressing", "message": "waiting for pods" }] } });
        let left = Left::of("ColonyProcess", &over);
        assert_eq!(left.in_colony, [""; 0]);
        assert_eq!(left.remark.as_deref(), Some("waiting for pods"));
    }
}
