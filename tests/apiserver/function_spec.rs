//! What a `ColonyProcess` or a `ColonyWorkflow` becomes in the server's database, beside what the colony's own tool submits
//! for the same function spec: every column, but for who submitted it, when, and under which label.

use std::{collections::BTreeMap, io::Write as _};

use colonyos_operator::api::{colony_process::ColonyProcess, colony_workflow::ColonyWorkflow};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    database::Database,
    stage::{SOON, Stage, with_operator},
    wait::eventually,
};

/// What differs between any two processes, whichever client submits them.
const OWN: [&str; 9] = [
    "process_id",
    "submission_time",
    "wait_deadline",
    "prioritytime",
    "initiator_id",
    "initiator_name",
    "label",
    "processgraph_id",
    "target_colony_name",
];

/// The processes of the colony by their nodes: those whose label is ours, or is not.
async fn rows(database: &Database, colony: &str, ours: bool) -> BTreeMap<String, Value> {
    let not = if ours { "" } else { "NOT " };
    let query = format!(
        "SELECT to_jsonb(p) || jsonb_build_object('env', (SELECT jsonb_object_agg(key, value) FROM prod_attributes a \
         WHERE a.target_id = p.process_id AND a.attribute_type = 3)) FROM prod_processes p \
         WHERE target_colony_name = '{colony}' AND label {not}LIKE 'k8s:%'"
    );
    let rows: Vec<Value> = database
        .query(&query)
        .await
        .iter()
        .map(|row| serde_json::from_str(&row.join("\t")).unwrap())
        .collect();
    let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
    let nodes: BTreeMap<String, String> =
        rows.iter().map(|row| (text(row, "process_id"), text(row, "nodename"))).collect();
    let mut by_node = BTreeMap::new();
    for mut row in rows {
        let node = text(&row, "nodename");
        for column in ["parents", "children"] {
            for id in row[column].as_array_mut().into_iter().flatten() {
                *id = json!(nodes[id.as_str().unwrap()]);
            }
            // The server walks through them in no order.
            if let Some(ids) = row[column].as_array_mut() {
                ids.sort_by_key(Value::to_string);
            }
        }
        for column in OWN {
            assert!(row.as_object_mut().unwrap().remove(column).is_some(), "there is no column {column}");
        }
        by_node.insert(node, row);
    }
    by_node
}

/// Submits `spec` by the colony's own tool and applies nothing else; what both have made is compared.
async fn compare(stage: &Stage, database: &Database, command: &str, spec: &Value, count: usize) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(spec.to_string().as_bytes()).unwrap();
    stage.colony.colonies(&[command, "submit", "--spec", file.path().to_str().unwrap()]).await;
    let theirs = rows(database, &stage.colony.name, false).await;
    assert_eq!(theirs.len(), count, "{theirs:?}");
    let ours = eventually("ours is submitted", SOON, async || {
        let ours = rows(database, &stage.colony.name, true).await;
        (ours.len() == count).then_some(ours.clone()).ok_or_else(|| format!("{ours:?}"))
    })
    .await;
    for (node, theirs) in &theirs {
        let ours = &ours[node];
        for (column, value) in theirs.as_object().unwrap() {
            assert_eq!(ours[column], *value, "column {column} of node {node:?}");
        }
        assert_eq!(ours.as_object().unwrap().len(), theirs.as_object().unwrap().len());
    }
}

async fn process(test: &str, ours: Value, theirs: Value) {
    let Some(database) = Database::find() else {
        eprintln!("not compared: the server's database is not accessible");
        return;
    };
    let connection = connect_with_crds().await;
    with_operator(&connection, test, async |stage| {
        let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
        ours["colony"] = json!(stage.colony.name);
        theirs["conditions"]["colonyname"] = json!(stage.colony.name);
        let object = json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": "p" }, "spec": ours,
        });
        let objects: Api<ColonyProcess> = stage.api();
        objects.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        compare(stage, &database, "function", &theirs, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_process_that_says_little_is_what_the_colonys_own_tool_submits() {
    let ours = json!({ "function": "f", "conditions": { "executorType": "unserved" } });
    let theirs = json!({ "funcname": "f", "conditions": { "executortype": "unserved" } });
    process("spec-little", ours, theirs).await;
}

#[tokio::test]
async fn a_process_that_says_everything_is_what_the_colonys_own_tool_submits() {
    let (args, kwargs) =
        (json!(["a", 1, 2.5, { "b": [true, null] }]), json!({ "k": { "deep": [1] }, "crf": 22 }));
    let ours = json!({
        "function": "f", "args": args, "kwargs": kwargs,
        "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "two" }],
        "conditions": {
            "executorType": "unserved", "executorNames": ["one", "two"], "location": "edge",
            "resources": { "cpu": "1500m", "memory": "1Gi", "storage": "20Gi" },
            "nodes": 2, "processesPerNode": 3, "wallTime": "1h",
            "gpu": { "name": "nvidia_a100", "count": 2, "memory": "4Gi" },
        },
        "priority": 5, "maxWaitTime": "10m", "maxExecTime": "1h", "maxRetries": 2,
        "fs": {
            "mount": "/cfs",
            "snapshots": [{ "snapshotId": "s1", "label": "/in", "dir": "/i", "keepFiles": true, "keepSnapshot": true }],
            "dirs": [{ "label": "/out", "dir": "/o", "keepFiles": true,
                "onConflicts": { "onStart": { "keepLocal": true }, "onClose": { "keepLocal": false } } }],
        },
        "channels": ["talk"],
    });
    let theirs = json!({
        "funcname": "f", "args": args, "kwargs": kwargs, "env": { "A": "1", "B": "two" },
        "conditions": {
            "executortype": "unserved", "executornames": ["one", "two"], "locationname": "edge",
            "cpu": "1500m", "mem": "1024Mi", "storage": "20480Mi",
            "nodes": 2, "processes": 6, "processespernode": 3, "walltime": 3600,
            "gpu": { "name": "nvidia_a100", "count": 2, "mem": "4096Mi" },
        },
        "priority": 5, "maxwaittime": 600, "maxexectime": 3600, "maxretries": 2,
        "fs": {
            "mount": "/cfs",
            "snapshots": [{ "snapshotid": "s1", "label": "/in", "dir": "/i", "keepfiles": true, "keepsnapshot": true }],
            "dirs": [{ "label": "/out", "dir": "/o", "keepfiles": true,
                "onconflicts": { "onstart": { "keeplocal": true }, "onclose": { "keeplocal": false } } }],
        },
        "channels": ["talk"],
    });
    process("spec-all", ours, theirs).await;
}

#[tokio::test]
async fn a_workflow_is_what_the_colonys_own_tool_submits() {
    let Some(database) = Database::find() else {
        eprintln!("not compared: the server's database is not accessible");
        return;
    };
    let connection = connect_with_crds().await;
    with_operator(&connection, "spec-workflow", async |stage| {
        let ours = |name: &str, needs: &[&str]| {
            // Absent, it would be 1 for the first node, which the colony's own tool does not know.
            json!({ "name": name, "dependencies": needs, "function": "f", "args": [name], "maxExecTime": "1m", "maxRetries": 0,
                "env": [{ "name": "NODE", "value": name }], "conditions": { "executorType": "unserved" } })
        };
        let theirs = |name: &str, needs: &[&str]| {
            let mut conditions = json!({ "colonyname": stage.colony.name, "executortype": "unserved" });
            if !needs.is_empty() {
                conditions["dependencies"] = json!(needs);
            }
            json!({ "nodename": name, "funcname": "f", "args": [name], "maxexectime": 60, "env": { "NODE": name },
                "conditions": conditions })
        };
        let shape: [(&str, &[&str]); 4] =
            [("start", &[]), ("left", &["start"]), ("right", &["start"]), ("join", &["left", "right"])];
        let object = json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow", "metadata": { "name": "w" },
            "spec": { "colony": stage.colony.name, "nodes": shape.map(|(name, needs)| ours(name, needs)) },
        });
        let objects: Api<ColonyWorkflow> = stage.api();
        objects.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let spec = json!(shape.map(|(name, needs)| theirs(name, needs)));
        compare(stage, &database, "workflow", &spec, shape.len()).await;
    })
    .await;
}
