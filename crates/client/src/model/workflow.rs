//! Workflows: processes that wait for each other, submitted as one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FunctionSpec, InvalidField, ProcessId, ProcessState, field, null_is_empty, timestamp};

/// A workflow to be submitted. Checked when it is made: the server takes workflows that are empty or go in a
/// circle and never ends them, and keeps half of one that names a node which is not there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkflowSpec {
    #[serde(rename = "colonyname")]
    colony: String,
    #[serde(rename = "functionspecs")]
    nodes: Vec<FunctionSpec>,
}

impl WorkflowSpec {
    /// A workflow of `nodes`, each with a [node name](FunctionSpec::node_name) of its own. A node runs when
    /// all that it [depends on](FunctionSpec::depends_on) have succeeded; when one fails, the server fails the
    /// rest.
    ///
    /// # Errors
    /// When there is no node, one is for another colony, a node's name is missing or used twice, or nodes
    /// depend on a node that is not there, on one twice, or on each other in a circle.
    pub fn new(colony: &str, nodes: Vec<FunctionSpec>) -> Result<Self, InvalidField> {
        let colony = field::name("colonyname", colony)?;
        let mut dependencies = BTreeMap::new();
        for node in &nodes {
            let name = node.node_name_str();
            if name.is_empty() {
                return Err(InvalidField::new("nodename", node.function(), "give each node a name"));
            }
            if node.colony() != colony {
                return Err(InvalidField::new("colonyname", node.colony(), "use one colony for all nodes"));
            }
            let needed: BTreeSet<&str> = node.dependencies().iter().map(String::as_str).collect();
            if needed.len() < node.dependencies().len() {
                return Err(InvalidField::new("dependencies", name, "name each node that it needs once"));
            }
            if dependencies.insert(name, needed).is_some() {
                return Err(InvalidField::new("nodename", name, "give each node a name of its own"));
            }
        }
        if dependencies.is_empty() {
            return Err(InvalidField::new("functionspecs", "", "give at least one node"));
        }
        let known = |name: &&&str| !dependencies.contains_key(**name);
        if let Some(unknown) = dependencies.values().flatten().find(known) {
            return Err(InvalidField::new("dependencies", unknown, "name nodes of the same workflow"));
        }
        let circle = circle(dependencies);
        if !circle.is_empty() {
            // Not cut as other values are: with half of the names, the circle would not be found.
            let (field, value) = ("dependencies", circle.join(" needs "));
            return Err(InvalidField { field, value, remedy: "let no node need itself, directly or not" });
        }
        Ok(Self { colony, nodes })
    }

    /// The colony that it is for.
    #[must_use]
    pub fn colony(&self) -> &str {
        &self.colony
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[FunctionSpec] {
        &self.nodes
    }
}

/// Nodes that wait for each other, the first once more at the end; none if there are none. When nodes that wait for
/// nothing are taken away again and again, each that is left waits for one that is left.
fn circle<'a>(mut left: BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<&'a str> {
    loop {
        let free: Vec<_> =
            left.iter().filter(|(_, needed)| needed.is_empty()).map(|(name, _)| *name).collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
            for needed in left.values_mut() {
                needed.remove(name);
            }
        }
    }
    let mut way: Vec<&str> = Vec::new();
    let mut next = left.keys().next().copied();
    while let Some(name) = next {
        if let Some(start) = way.iter().position(|passed| *passed == name) {
            way.push(name);
            return way.split_off(start);
        }
        way.push(name);
        next = left.get(name).and_then(|needed| needed.first()).copied();
    }
    Vec::new()
}

/// A workflow as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ProcessGraph {
    /// The server's id of it.
    #[serde(rename = "processgraphid")]
    pub id: String,
    /// Its colony.
    #[serde(rename = "colonyname", default)]
    pub colony: String,
    /// Where it stands as a whole: failed as soon as one node has failed, else cancelled as soon as one was.
    ///
    /// **A cancel overwrites whatever it was**: a workflow that had succeeded is then `Cancelled`, although its
    /// processes are not.
    pub state: ProcessState,
    /// The member who submitted it.
    #[serde(rename = "initiatorid", default)]
    pub initiator_id: String,
    /// The name of the member who submitted it.
    #[serde(rename = "initiatorname", default)]
    pub initiator_name: String,
    /// The processes that waited for no other.
    #[serde(rename = "rootprocessids", default, deserialize_with = "null_is_empty")]
    pub roots: Vec<ProcessId>,
    /// All its processes.
    #[serde(rename = "processids", default, deserialize_with = "null_is_empty")]
    pub processes: Vec<ProcessId>,
    /// When the server took it. `None` in the answer to the submit.
    #[serde(rename = "submissiontime", deserialize_with = "timestamp::optional")]
    pub submitted_at: Option<Timestamp>,
    /// When its first process was assigned.
    #[serde(rename = "starttime", deserialize_with = "timestamp::optional")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(rename = "endtime", deserialize_with = "timestamp::optional")]
    pub ended_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::{FunctionSpec, WorkflowSpec};

    fn node(name: &str, needs: &[&str]) -> FunctionSpec {
        let spec = FunctionSpec::new("dev", "cli", "f").unwrap().node_name(name).unwrap();
        needs.iter().fold(spec, |spec, needed| spec.depends_on(needed).unwrap())
    }

    #[test]
    fn a_workflow_that_can_end_is_accepted() {
        let nodes =
            vec![node("join", &["left", "right"]), node("left", &["start"]), node("right", &["start"])];
        let spec = WorkflowSpec::new("dev", [nodes, vec![node("start", &[])]].concat()).unwrap();
        let sent = serde_json::to_value(&spec).unwrap();
        assert_eq!(sent["colonyname"], "dev");
        assert_eq!(sent["functionspecs"][0]["nodename"], "join");
        assert_eq!(
            sent["functionspecs"][0]["conditions"]["dependencies"],
            serde_json::json!(["left", "right"])
        );
    }

    /// The server takes every one of these; most of them never end.
    #[test]
    fn what_never_ends_or_is_kept_by_half_is_refused() {
        let unnamed = FunctionSpec::new("dev", "cli", "f").unwrap();
        for (nodes, field) in [
            (vec![], "functionspecs"),
            (vec![unnamed], "nodename"),
            (vec![node("a", &[]), node("a", &[])], "nodename"),
            (vec![node("a", &["b"])], "dependencies"),
            (vec![node("a", &["a"])], "dependencies"),
            (vec![node("a", &["b"]), node("b", &["a"])], "dependencies"),
            (
                vec![node("s", &[]), node("a", &["s", "c"]), node("b", &["a"]), node("c", &["b"])],
                "dependencies",
            ),
            (vec![node("a", &[]), node("b", &["a", "a"])], "dependencies"),
        ] {
            assert_eq!(WorkflowSpec::new("dev", nodes.clone()).unwrap_err().field, field, "{nodes:?}");
        }
        assert_eq!(WorkflowSpec::new("other", vec![node("a", &[])]).unwrap_err().field, "colonyname");
    }

    /// With a hundred nodes, the name of one that waits for something that waits for a circle is no help.
    #[test]
    fn a_circle_is_named_without_what_hangs_on_it() {
        let nodes = vec![
            node("a", &["b"]),
            node("b", &["c", "start"]),
            node("c", &["d"]),
            node("d", &["b"]),
            node("start", &[]),
        ];
        let error = WorkflowSpec::new("dev", nodes).unwrap_err();
        assert_eq!(error.value, "b needs c needs d needs b");
    }
}
