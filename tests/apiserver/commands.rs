//! The commands with which users look at their objects and decide about them, on the real servers: run as a user types them.

use std::{
    io,
    process::{Output, Stdio},
};

use colonyos_operator::{
    api::{
        colony_cron::{ColonyCron, ColonyCronStatus},
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        request_state::{RequestState, State},
        work::WorkState,
    },
    colony::Process,
};
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::process::Command;

use super::requester::grant;
use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    environment,
    stage::{Stage, with_operator},
};

fn typed(stage: &Stage, words: &[&str]) -> Command {
    let built = env!("CARGO_BIN_EXE_colonyos-operator");
    let mut typed = Command::new(environment::variable("OPERATOR_BIN").as_deref().unwrap_or(built));
    typed.args(words).args(["--namespace", &stage.namespace.name]).kill_on_drop(true);
    if ["logs", "output", "process"].contains(&words[0]) {
        typed.args(["--operator-namespace", &stage.namespace.name]);
    }
    typed
}

/// What a command prints, byte for byte.
async fn printed(stage: &Stage, words: &[&str]) -> String {
    let output = typed(stage, words).output().await.unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the page about the commands shows of one.
fn documented(command: &str) -> String {
    let page = include_str!("../../docs/cli.md");
    let (_, after) = page.split_once(&format!("$ kubectl colony {command}\n")).unwrap();
    let end = ["```", "$ "].iter().filter_map(|end| after.find(end)).min().unwrap();
    after[..end].to_owned()
}

/// Why a command fails.
async fn refused(stage: &Stage, words: &[&str]) -> String {
    failed(words, &typed(stage, words).output().await.unwrap())
}

fn failed(words: &[&str], output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn apply(stage: &Stage, name: &str, kind: &str) {
    let spec =
        json!({ "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": kind } });
    let object = json!({ "metadata": { "name": name, "labels": { "team": "blue" } }, "spec": spec });
    stage.create::<ColonyProcess>(object).await.unwrap();
}

/// All that was ever submitted for the objects of the namespace.
async fn all_processes(stage: &Stage) -> Vec<Process> {
    let objects = stage.api::<ColonyProcess>().list(&ListParams::default()).await.unwrap();
    let mut found = Vec::new();
    for label in objects.items.into_iter().filter_map(|object| Some(object.status?.mirror?.label)) {
        let (prefix, _) = label.rsplit_once('/').unwrap();
        for attempt in 1..=3 {
            found.extend(
                stage.colony.member.processes_labelled(&format!("{prefix}/{attempt}")).await.unwrap(),
            );
        }
    }
    found
}

#[tokio::test]
async fn finished_work_is_shown_given_out_and_run_again_once() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "commands", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        apply(stage, "encode", "encoder").await;
        let process = assigned(&executor).await;
        let error = refused(stage, &["output", "colonyprocess/encode"]).await;
        assert!(error.contains("no output yet"), "{error}");
        let error = refused(stage, &["rerun", "colonyprocess/encode"]).await;
        assert!(error.contains("has not finished"), "{error}");
        let long = format!("bell \u{7} {}", "x".repeat(100_000));
        executor.close_successful(&process.id, &[json!(long)]).await.unwrap();
        stage.until_state::<ColonyProcess>("encode", WorkState::Succeeded).await;

        // Status has it cut and cleaned.
        assert_eq!(printed(stage, &["output", "colonyprocess/encode"]).await, long);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        assert_eq!(printed(stage, &["output", "cproc/encode", "--file", file.to_str().unwrap()]).await, "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), long);
        let values: Value =
            serde_json::from_str(&printed(stage, &["output", "cproc/encode", "-o", "json"]).await).unwrap();
        assert_eq!(values, json!([long]));

        let again = printed(stage, &["rerun", "colonyprocess/encode"]).await;
        assert_eq!(again, documented("rerun colonyprocess/encode"));
        let error = refused(stage, &["rerun", "colonyprocess/encode"]).await;
        assert!(error.contains("colonyprocess/encode-rerun-1 runs it again already"), "{error}");
        let again = assigned(&executor).await;
        executor.close_successful(&again.id, &[json!({ "frames": 7 })]).await.unwrap();
        stage.until_state::<ColonyProcess>("encode-rerun-1", WorkState::Succeeded).await;
        assert_eq!(all_processes(stage).await.len(), 2, "one for each wish");
        assert_eq!(printed(stage, &["output", "colonyprocess/encode-rerun-1"]).await, "{\"frames\":7}\n");
        let explained = printed(stage, &["explain", "colonyprocess/encode-rerun-1"]).await;
        assert!(explained.contains("run again what colonyprocess/encode has run"), "{explained}");
        let second = printed(stage, &["rerun", "colonyprocess/encode-rerun-1", "-o", "json"]).await;
        let second: Value = serde_json::from_str(&second).unwrap();
        assert_eq!(
            (&second["metadata"]["name"], &second["metadata"]["labels"]["team"]),
            (&json!("encode-rerun-2"), &json!("blue"))
        );

        let table = printed(stage, &["get"]).await;
        let line = table.lines().find(|line| line.contains("ColonyProcess  encode ")).unwrap();
        assert!(table.starts_with("KIND") && line.contains("Succeeded  ClosedSuccessfully"), "{table}");
        let listed: Value =
            serde_json::from_str(&printed(stage, &["get", "colonyprocesses", "-o", "json"]).await).unwrap();
        let names: Vec<&Value> =
            listed["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
        assert_eq!(names, ["encode", "encode-rerun-1", "encode-rerun-2"]);
        let colony = printed(stage, &["get", "colony", &stage.colony.name]).await;
        assert!(colony.contains("Ready  Connected"), "{colony}");
        let everywhere = printed(stage, &["get", "-A"]).await;
        assert!(
            everywhere.starts_with("NAMESPACE") && everywhere.contains(&stage.namespace.name),
            "{everywhere}"
        );
        assert!(refused(stage, &["get", "colonyprocess/nothing"]).await.contains("not found"));
    })
    .await;
}

#[tokio::test]
async fn work_is_cancelled_and_schedules_are_triggered_by_hand() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "commands-decide", async |stage| {
        apply(stage, "waiting", "unserved").await;
        stage.until_state::<ColonyProcess>("waiting", WorkState::Waiting).await;
        let cancelled = printed(stage, &["cancel", "colonyprocess/waiting"]).await;
        assert_eq!(cancelled.replace("waiting", "train"), documented("cancel colonyprocess/train"));
        stage.until_state::<ColonyProcess>("waiting", WorkState::Cancelled).await;
        assert_eq!(printed(stage, &["cancel", "colonyprocess/waiting"]).await, "colonyprocess/waiting has ended already\n");

        let object = json!({ "metadata": { "name": "order" }, "spec": { "request-uid": "u-1", "job": "JOB1", "state": "REQUESTED" } });
        stage.create::<RequestState>(object).await.unwrap();
        assert_eq!(printed(stage, &["cancel", "reqs/order"]).await, "requeststate/order is being cancelled\n");
        assert_eq!(stage.api::<RequestState>().get("order").await.unwrap().spec.state, State::Cancelled);
        assert_eq!(printed(stage, &["rerun", "requeststate/order"]).await, "requeststate/order-rerun-1 created\n");
        let again = stage.api::<RequestState>().get("order-rerun-1").await.unwrap().spec;
        assert_eq!((again.request_uid.as_str(), again.job.as_str(), again.state), ("u-1-rerun-1", "JOB1", State::Requested));

        // In a minute there is one run, and with Forbid there is one at a time.
        let cron = json!({ "metadata": { "name": "yearly" }, "spec": {
            "schedule": "0 0 1 1 *", "concurrencyPolicy": "Forbid", "suspend": true,
            "processTemplate": { "spec": { "colony": stage.colony.name, "function": "report", "conditions": { "executorType": "unserved" } } } } });
        stage.create::<ColonyCron>(cron).await.unwrap();
        let first = printed(stage, &["trigger", "colonycron/yearly"]).await;
        let shown = documented("trigger colonycron/report");
        let without_minute = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "").replace("yearly", "report");
        assert_eq!(without_minute(&first), without_minute(&shown));
        let run = first.strip_prefix("colonyprocess/").and_then(|rest| rest.strip_suffix(" created\n")).unwrap().to_owned();
        let second = typed(stage, &["trigger", "ccron/yearly"]).output().await.unwrap();
        let told = format!("{}{}", String::from_utf8_lossy(&second.stdout), String::from_utf8_lossy(&second.stderr));
        let names_it = told.contains(&run) && (told.contains("exists already") || told.contains("concurrencyPolicy Forbid"));
        assert!(names_it, "{told}");
        let is_active = |status: &ColonyCronStatus| status.active == [run.clone()];
        stage.until_status::<ColonyCron>("yearly", "the operator has it as a run", is_active).await;
        stage.until_state::<ColonyProcess>(&run, WorkState::Waiting).await;
        let explained = printed(stage, &["explain", &format!("colonyprocess/{run}")]).await;
        assert!(explained.contains("run colonycron/yearly now, as a user has asked"), "{explained}");
        let objects = stage.api::<ColonyProcess>().list(&ListParams::default().labels("colonies.io/cron=yearly")).await.unwrap();
        assert_eq!(objects.items.len(), 1);
        printed(stage, &["cancel", &format!("colonyprocess/{run}")]).await;
        stage.until_status::<ColonyCron>("yearly", "its run has ended", |status| status.active.is_empty()).await;
        stage.api::<ColonyCron>().delete("yearly", &kube::api::DeleteParams::default()).await.unwrap();
        stage.until_gone::<ColonyProcess>(&run).await;
        assert!(refused(stage, &["trigger", "colonyprocess/waiting"]).await.contains("no schedule"));
    })
    .await;
}

/// A pipe that nothing reads is no error, and no command panics.
#[tokio::test]
async fn a_closed_pipe_ends_every_command_quietly() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "commands-pipe", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        apply(stage, "encode", "encoder").await;
        let process = assigned(&executor).await;
        executor.add_log(&process.id, "half done\n").await.unwrap();
        let node = json!({ "name": "only", "function": "f", "conditions": { "executorType": "unserved" } });
        let graph = json!({ "metadata": { "name": "graph" }, "spec": { "colony": stage.colony.name, "nodes": [node] } });
        stage.create::<ColonyWorkflow>(graph).await.unwrap();
        stage.until_state::<ColonyProcess>("encode", WorkState::Running).await;
        // It would go on until the process is over.
        let follow = closed(stage, &["logs", "colonyprocess/encode", "--follow"]).await;
        assert!(follow.status.success(), "{follow:?}");
        executor.close_successful(&process.id, &[json!("out")]).await.unwrap();
        stage.until_state::<ColonyProcess>("encode", WorkState::Succeeded).await;
        for words in [
            &["get"][..],
            &["explain", "colonyprocess/encode"],
            &["process", "colonyprocess/encode"],
            &["logs", "colonyprocess/encode"],
            &["output", "colonyprocess/encode"],
            &["graph", "graph"],
            &["rerun", "colonyprocess/encode"],
            &["cancel", "colonyprocess/encode-rerun-1"],
        ] {
            let output = closed(stage, words).await;
            assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
        }
        // What they find decides their exit code.
        for words in [&["doctor"][..], &["verify", "--colony", &stage.colony.name]] {
            let output = closed(stage, words).await;
            assert!(output.status.code().is_some_and(|code| code < 2) && output.stderr.is_empty(), "{words:?}: {output:?}");
        }
    })
    .await;
}

async fn closed(stage: &Stage, words: &[&str]) -> Output {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    // `output` would put a pipe of its own in the place of this one.
    let child = typed(stage, words).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    child.wait_with_output().await.unwrap()
}

/// A user with rights in a namespace alone, on a part of the kinds.
#[tokio::test]
async fn what_a_user_may_not_read_is_named_with_a_remedy() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "commands-rights", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        apply(stage, "encode", "encoder").await;
        let process = assigned(&executor).await;
        executor.close_successful(&process.id, &[json!("out")]).await.unwrap();
        stage.until_state::<ColonyProcess>("encode", WorkState::Succeeded).await;
        let user = format!("{}-user", stage.namespace.name);
        let rules = json!([{ "apiGroups": ["colonies.io"], "resources": ["colonyprocesses"], "verbs": ["get", "list", "create", "patch"] }]);
        grant(&stage.namespace, &user, "processes", rules).await;

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        let text = std::fs::read_to_string(environment::variable("KUBECONFIG").unwrap()).unwrap();
        let mut kubeconfig: Value = serde_norway::from_str(&text).unwrap();
        for entry in kubeconfig["users"].as_array_mut().unwrap() {
            entry["user"]["as"] = json!(user);
        }
        std::fs::write(&file, kubeconfig.to_string()).unwrap();
        let as_user = async |words: &[&str]| {
            typed(stage, words).args(["--kubeconfig", file.to_str().unwrap()]).output().await.unwrap()
        };
        let listed = as_user(&["get"]).await;
        let (table, unread) = (String::from_utf8_lossy(&listed.stdout), String::from_utf8_lossy(&listed.stderr));
        assert!(listed.status.success() && table.contains("ColonyProcess  encode"), "{listed:?}");
        for kind in ["colonyworkflows", "executordeployments", "requeststates", "kinds that users define"] {
            assert!(unread.lines().any(|line| line.starts_with("not read: ") && line.contains(kind)), "{kind}: {unread}");
        }
        let nothing = as_user(&["get", "colonyworkflows"]).await;
        assert!(failed(&["get"], &nothing).contains("could be read"), "{nothing:?}");
        let again = as_user(&["rerun", "colonyprocess/encode"]).await;
        assert_eq!(String::from_utf8_lossy(&again.stdout), "colonyprocess/encode-rerun-1 created\n", "{again:?}");

        let error = failed(&["output"], &as_user(&["output", "colonyprocess/encode"]).await);
        assert!(error.contains("ask for the right to read them in the whole cluster"), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    })
    .await;
}
