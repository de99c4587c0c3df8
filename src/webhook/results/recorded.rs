//! Which process of an object is asked for, as its status records it. Status is a claim: whether the process is the object's own
//! is for [`Belonging`](crate::snapshot::Belonging). Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::api::mirror::{MirrorStatus, UsedColony};

/// What objects of every kind with processes have in common.
#[derive(Debug, Deserialize)]
pub(super) struct Recorded {
    pub metadata: ObjectMeta,
    #[serde(default)]
    status: Option<RecordedStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordedStatus {
    #[serde(default)]
    mirror: Option<MirrorStatus>,
    #[serde(default)]
    colony: Option<UsedColony>,
    #[serde(default)]
    nodes: Option<Vec<RecordedNode>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordedNode {
    name: String,
    #[serde(default)]
    process_id: Option<String>,
}

impl Recorded {
    /// The Colony in which its processes are.
    ///
    /// # Errors
    ///
    /// When nothing was submitted yet.
    pub(super) fn colony(&self) -> Result<&str, String> {
        let used = self.status.as_ref().and_then(|status| status.colony.as_ref());
        used.map(|used| used.name.as_str()).ok_or_else(|| self.nothing_yet())
    }

    /// The id of its process; of a workflow, of one node.
    ///
    /// # Errors
    ///
    /// When there is no such node, or nothing was submitted yet.
    pub(super) fn process(&self, node: Option<&str>) -> Result<&str, String> {
        let status = self.status.as_ref().ok_or_else(|| self.nothing_yet())?;
        let id = match (&status.nodes, node) {
            (Some(nodes), Some(name)) => {
                let names = || nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
                let found = nodes.iter().find(|node| node.name == name);
                let found =
                    found.ok_or_else(|| format!("there is no node {name:?}: there are {}", names()))?;
                found.process_id.as_deref()
            }
            (Some(_), None) => return Err("a workflow has several processes: give ?node=NAME".to_owned()),
            (None, Some(_)) => return Err("only a workflow has nodes: leave node out".to_owned()),
            (None, None) => status.mirror.as_ref().and_then(|mirror| mirror.process_id.as_deref()),
        };
        id.ok_or_else(|| self.nothing_yet())
    }

    fn nothing_yet(&self) -> String {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        format!("{name} has no process yet: see its conditions")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn recorded(status: &Value) -> Recorded {
        serde_json::from_value(json!({ "metadata": { "name": "n" }, "spec": {}, "status": status })).unwrap()
    }

    #[test]
    fn an_object_has_one_process_and_a_workflow_one_for_each_node() {
        let mirror = json!({ "label": "k8s:c/u/1", "generation": 1, "processId": "p", "state": "Running",
                             "intendedAt": "2026-11-26T10:00:00Z" });
        let alone = recorded(&json!({ "mirror": mirror, "colony": { "name": "dev", "colonyName": "dev" } }));
        assert_eq!((alone.process(None), alone.colony()), (Ok("p"), Ok("dev")));
        assert!(alone.process(Some("a")).unwrap_err().contains("only a workflow"));
        let workflow = recorded(&json!({ "mirror": mirror, "nodes": [
            { "name": "a", "state": "Running", "processId": "p1" }, { "name": "b", "state": "Pending" },
        ] }));
        assert_eq!(workflow.process(Some("a")), Ok("p1"));
        assert!(workflow.process(Some("b")).unwrap_err().contains("no process yet"));
        assert!(workflow.process(Some("c")).unwrap_err().contains("there are a, b"));
        assert!(workflow.process(None).unwrap_err().contains("?node="));
        let fresh = recorded(&json!({ "observedGeneration": -1 }));
        assert!(fresh.process(None).is_err() && fresh.colony().is_err());
    }
}
