//! `ColonyCron`: runs that are created when they are due, on the real servers. No test waits for the next minute: the
//! schedules name one day of the year, months away from today, and a run is due as soon as status says that the last one
//! was years ago.

use std::{collections::BTreeSet, time::Duration};

use colonyos_operator::{
    api::{
        colony_cron::{ColonyCron, ColonyCronStatus},
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        names::cron_run,
        work::WorkState,
    },
    colony::{ProcessId, ProcessState, Session},
    runtime::clock::Clock,
};
use futures::future::join_all;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::admission::{admit, assert_refused};
use crate::support::{
    cluster::connect_with_crds,
    colony,
    conditions::Conditions as _,
    namespace::in_namespace,
    operator::{Operator, Signal, configuration},
    stage::{SOON, Stage, with_operator},
    wait::eventually,
};

/// Schedules that are followed at the same time while the operator is killed.
const AT_ONCE: usize = 8;
/// How often it is killed.
const KILLS: i8 = 4;

/// The day of the schedules: half a year ago.
fn day() -> Date {
    let today = Clock::system().now().to_zoned(TimeZone::UTC).date();
    today.checked_sub(6.months()).unwrap().first_of_month()
}

/// The schedule that names an hour of the day. A later hour is one more run that is due.
fn hour(hour: i8) -> String {
    format!("0 {hour} 1 {} *", day().month())
}

fn time(hour: i8) -> Timestamp {
    day().at(hour, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp()
}

fn run(cron: &str, hour: i8) -> String {
    cron_run(cron, time(hour).as_second() / 60)
}

fn cron(colony: &str, name: &str, kind: &str, spec: &Value) -> Value {
    let mut whole = json!({
        "schedule": hour(0),
        "processTemplate": { "spec": { "colony": colony, "function": "encode", "conditions": { "executorType": kind } } },
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({ "apiVersion": "colonies.io/v1", "kind": "ColonyCron", "metadata": { "name": name }, "spec": whole })
}

/// Creates a cron whose last run was years ago.
async fn start(stage: &Stage, name: &str, kind: &str, spec: Value) {
    let crons: Api<ColonyCron> = stage.api();
    let object = serde_json::from_value(cron(&stage.colony.name, name, kind, &spec)).unwrap();
    crons.create(&PostParams::default(), &object).await.unwrap();
    forget(stage, name).await;
}

/// Has status say that the last run was years ago.
async fn forget(stage: &Stage, name: &str) {
    let crons: Api<ColonyCron> = stage.api();
    let status = json!({ "status": { "lastScheduleTime": "2020-02-02T02:02:00Z", "active": null } });
    crons.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

async fn until(
    stage: &Stage,
    name: &str,
    what: &str,
    is_reached: impl Fn(&ColonyCronStatus) -> bool,
) -> ColonyCron {
    stage.until(name, what, |cron: &ColonyCron| cron.status.as_ref().is_some_and(&is_reached)).await
}

/// Waits until the run for an hour is on record.
async fn until_created(stage: &Stage, name: &str, hour: i8) -> ColonyCron {
    let time = time(hour);
    until(stage, name, &format!("the run for {time} is created"), |status| {
        status.last_schedule_time.as_ref().is_some_and(|last| last.0 == time)
    })
    .await
}

fn ready(object: &ColonyCron) -> (String, String, String) {
    object.status.as_ref().unwrap().told("Ready")
}

/// Names of the runs that there are.
async fn runs(stage: &Stage, name: &str) -> Result<BTreeSet<String>, String> {
    let runs: Api<ColonyProcess> = stage.api();
    let selector = ListParams::default().labels(&format!("colonies.io/cron={name}"));
    let list = runs.list(&selector).await.map_err(|error| error.to_string())?;
    Ok(list.iter().map(ResourceExt::name_any).collect())
}

async fn until_runs(stage: &Stage, name: &str, hours: &[i8]) {
    let expected: BTreeSet<String> = hours.iter().map(|hour| run(name, *hour)).collect();
    eventually(&format!("{name}: its runs are {expected:?}"), SOON, async || {
        let found = runs(stage, name).await?;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// Waits until a run stands where it should; the id of its process.
async fn until_state(stage: &Stage, name: &str, wanted: WorkState) -> Option<ProcessId> {
    stage.until_state::<ColonyProcess>(name, wanted).await.process_id.map(ProcessId::new)
}

/// Has the next process done; its label.
async fn work(executor: &Session) -> String {
    let process = colony::assigned(executor).await;
    executor.close_successful(&process.id, &[]).await.unwrap();
    process.spec.label
}

async fn until_told(stage: &Stage, name: &str, reason: &str) -> String {
    let events: Api<Event> = stage.api();
    eventually(&format!("{name}: an Event says {reason}"), SOON, async || {
        let list = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let of_cron = |event: &&Event| {
            event.reason.as_deref() == Some(reason)
                && event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name)
        };
        let found = list.iter().find(of_cron).and_then(|event| event.note.clone());
        found.ok_or_else(|| format!("{} others", list.items.len()))
    })
    .await
}

#[tokio::test]
async fn a_run_is_created_when_it_is_due_and_once() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "cron", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        let template = json!({ "processTemplate": {
            "metadata": { "labels": { "team": "video" }, "annotations": { "note": "a" } },
            "spec": { "colony": stage.colony.name, "function": "clean", "conditions": { "executorType": "encoder" } },
        } });
        start(stage, "nightly", "encoder", template).await;
        let object = until_created(stage, "nightly", 0).await;
        let (holds, reason, _) = ready(&object);
        assert_eq!((holds.as_str(), reason.as_str()), ("True", "Scheduled"));
        let next = object.status.as_ref().unwrap().next_schedule_time.clone().unwrap().0;
        assert_eq!(next.to_zoned(TimeZone::UTC).date(), day().checked_add(1.year()).unwrap());
        let processes: Api<ColonyProcess> = stage.api();
        let created = processes.get(&run("nightly", 0)).await.unwrap();
        assert_eq!(created.spec.call.function, "clean");
        assert_eq!(created.labels()["team"], "video");
        assert_eq!(created.annotations()["colonies.io/scheduled-at"], time(0).to_string());
        assert_eq!(created.owner_references()[0].uid, object.uid().unwrap());
        assert!(until_told(stage, "nightly", "RunCreated").await.contains(&run("nightly", 0)));
        work(&executor).await;
        let object = until(stage, "nightly", "it has ended well", |status| {
            status.active.is_empty() && status.last_successful_time.is_some()
        })
        .await;

        // What has been there once is not created again, and nothing is written where nothing has changed.
        processes.delete(&run("nightly", 0), &DeleteParams::default()).await.unwrap();
        until_runs(stage, "nightly", &[]).await;
        start(stage, "another", "encoder", json!({})).await;
        work(&executor).await;
        until(stage, "another", "it has ended well", |status| status.last_successful_time.is_some()).await;
        let crons: Api<ColonyCron> = stage.api();
        let seen = crons.get("nightly").await.unwrap();
        assert_eq!(seen.resource_version(), object.resource_version(), "it was written to");
        assert_eq!(runs(stage, "nightly").await.unwrap(), BTreeSet::new());

        // The history, and a name that is taken.
        stage.patch::<ColonyCron>("another", json!({ "successfulHistoryLimit": 1 })).await.unwrap();
        for next in 1..=2 {
            stage.patch::<ColonyCron>("another", json!({ "schedule": hour(next) })).await.unwrap();
            until_created(stage, "another", next).await;
            work(&executor).await;
            until_runs(stage, "another", &[next]).await;
        }
        let stranger = json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": run("another", 3) },
            "spec": { "suspend": true, "function": "f", "conditions": { "executorType": "t" } },
        });
        let stranger = processes.create(&PostParams::default(), &serde_json::from_value(stranger).unwrap()).await.unwrap();
        stage.patch::<ColonyCron>("another", json!({ "schedule": hour(3) })).await.unwrap();
        let object = until(stage, "another", "it tells of the stranger", |status| {
            status.conditions.iter().any(|condition| condition.reason == "ForeignObject")
        })
        .await;
        assert!(ready(&object).2.contains(&run("another", 3)), "{:?}", ready(&object));
        let left = processes.get(&run("another", 3)).await.unwrap();
        assert_eq!((left.uid(), left.owner_references()), (stranger.uid(), &[][..]));
        processes.delete(&run("another", 3), &DeleteParams::default()).await.unwrap();
        until_created(stage, "another", 3).await;
        work(&executor).await;
    })
    .await;
}

#[tokio::test]
async fn workflows_are_repeated_as_processes_are() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "cron-workflow", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        let node = |name: &str, after: &[&str]| {
            json!({
                "name": name, "dependencies": after, "function": name,
                "conditions": { "executorType": "encoder" },
            })
        };
        let template = json!({ "spec": {
            "colony": stage.colony.name, "nodes": [node("split", &[]), node("join", &["split"])],
        } });
        let spec =
            json!({ "processTemplate": null, "workflowTemplate": template, "successfulHistoryLimit": 1 });
        start(stage, "graph", "encoder", spec).await;
        let workflows: Api<ColonyWorkflow> = stage.api();
        for next in 0..=1 {
            if next > 0 {
                stage.patch::<ColonyCron>("graph", json!({ "schedule": hour(next) })).await.unwrap();
            }
            let object = until_created(stage, "graph", next).await;
            let created = workflows.get(&run("graph", next)).await.unwrap();
            assert_eq!(created.owner_references()[0].uid, object.uid().unwrap());
            work(&executor).await;
            work(&executor).await;
            until(stage, "graph", "it has ended well", |status| {
                status.active.is_empty() && status.last_successful_time.is_some()
            })
            .await;
        }
        stage.until_gone::<ColonyWorkflow>(&run("graph", 0)).await;
        workflows.get(&run("graph", 1)).await.unwrap();
        assert_eq!(runs(stage, "graph").await.unwrap(), BTreeSet::new(), "no processes");
    })
    .await;
}

#[tokio::test]
async fn a_run_before_it_is_waited_for_or_replaced() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "cron-policy", async |stage| {
        // No executor serves this type: they wait.
        let processes: Api<ColonyProcess> = stage.api();
        for (name, policy) in [("allow", "Allow"), ("forbid", "Forbid"), ("replace", "Replace")] {
            start(stage, name, "unserved", json!({ "concurrencyPolicy": policy })).await;
            until_created(stage, name, 0).await;
        }
        let replaced = until_state(stage, &run("replace", 0), WorkState::Waiting).await.unwrap();
        for name in ["allow", "forbid", "replace"] {
            stage.patch::<ColonyCron>(name, json!({ "schedule": hour(1) })).await.unwrap();
        }
        until_runs(stage, "allow", &[0, 1]).await;
        let object = until_created(stage, "allow", 1).await;
        assert_eq!(object.status.unwrap().active, [run("allow", 0), run("allow", 1)]);

        assert!(until_told(stage, "forbid", "RunActive").await.contains(&run("forbid", 0)));
        let (holds, _, message) = ready(&until(stage, "forbid", "it says what it waits for", |_| true).await);
        assert_eq!(holds, "True");
        assert!(message.contains(&run("forbid", 0)), "{message}");
        until_runs(stage, "forbid", &[0]).await;
        let cancel = Patch::Merge(json!({ "spec": { "cancel": true } }));
        processes.patch(&run("forbid", 0), &PatchParams::default(), &cancel).await.unwrap();
        until_created(stage, "forbid", 1).await;
        until_runs(stage, "forbid", &[0, 1]).await;

        eventually("the new run has taken the place of the old one", SOON, async || {
            let found = runs(stage, "replace").await?;
            assert!(found.len() < 2, "both are there: {found:?}");
            if found.contains(&run("replace", 1)) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
        assert_eq!(stage.colony.member.process(&replaced).await.unwrap().state, ProcessState::Cancelled);

        // Runs go with their cron, and their processes with them.
        let last = until_state(stage, &run("replace", 1), WorkState::Waiting).await.unwrap();
        let crons: Api<ColonyCron> = stage.api();
        crons.delete("replace", &DeleteParams::background()).await.unwrap();
        until_runs(stage, "replace", &[]).await;
        assert_eq!(stage.colony.member.process(&last).await.unwrap().state, ProcessState::Cancelled);

        start(stage, "suspended", "unserved", json!({ "suspend": true })).await;
        let object = until(stage, "suspended", "it says so", |status| {
            status.last_schedule_time.is_some() && !status.conditions.is_empty()
        })
        .await;
        assert_eq!(ready(&object).1, "Suspended");
        assert_eq!(runs(stage, "suspended").await.unwrap(), BTreeSet::new());
        stage.patch::<ColonyCron>("suspended", json!({ "suspend": false })).await.unwrap();
        until_created(stage, "suspended", 0).await;

        // Late is late.
        start(stage, "late", "unserved", json!({ "startingDeadlineSeconds": 3600 })).await;
        stage.patch::<ColonyCron>("late", json!({ "schedule": hour(1) })).await.unwrap();
        assert!(until_told(stage, "late", "RunMissed").await.contains(&time(1).to_string()));
        stage.patch::<ColonyCron>("late", json!({ "startingDeadlineSeconds": null })).await.unwrap();
        until_created(stage, "late", 1).await;
    })
    .await;
}

/// A run that was created and is not on record yet is the run, not one more.
#[tokio::test]
async fn there_is_one_run_for_each_time_however_often_the_operator_is_killed() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "cron-kill", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        let names: Vec<String> = (0..AT_ONCE).map(|index| format!("cron-{index}")).collect();
        let spec = json!({ "successfulHistoryLimit": 1000, "concurrencyPolicy": "Forbid" });
        join_all(names.iter().map(|name| start(stage, name, "encoder", spec.clone()))).await;
        let mut labels = BTreeSet::new();
        for round in 0..KILLS {
            if round > 0 {
                join_all(names.iter().map(async |name| {
                    stage.patch::<ColonyCron>(name, json!({ "schedule": hour(round) })).await.unwrap();
                }))
                .await;
            }
            let processes: Api<ColonyProcess> = stage.api();
            let due: BTreeSet<String> = names.iter().map(|name| run(name, round)).collect();
            eventually("some runs are there", SOON, async || {
                let list = processes.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
                let count = list.iter().filter(|object| due.contains(&object.name_any())).count();
                if count > usize::try_from(round).unwrap() { Ok(()) } else { Err(format!("{count}")) }
            })
            .await;
            stage.operator.signal(Signal::Kill);
            stage.operator.wait_for_end(SOON).await;
            if round % 2 == 1 {
                // As if it had died before it could record any of them.
                join_all(names.iter().map(|name| forget(stage, name))).await;
            }
            let before = processes.list(&ListParams::default()).await.unwrap();
            stage.operator =
                Operator::start(configuration(&stage.namespace.name), &stage.namespace.name, &stage.turn)
                    .await;
            for _ in 0..AT_ONCE {
                assert!(labels.insert(work(&executor).await), "a run was submitted twice");
            }
            for name in &names {
                until_created(stage, name, round).await;
            }
            for object in before {
                let after = processes.get(&object.name_any()).await.unwrap();
                assert_eq!(after.uid(), object.uid(), "{} was created anew", object.name_any());
            }
        }
        let hours: Vec<i8> = (0..KILLS).collect();
        for name in &names {
            until_runs(stage, name, &hours).await;
            until(stage, name, "all have ended", |status| status.active.is_empty()).await;
        }
        assert!(executor.assign(Duration::from_secs(1)).await.unwrap().is_none(), "a process is left");
    })
    .await;
}

/// Bad input is refused with field, value and remedy; what only a look at the zones or the calendar shows stands in the
/// condition.
#[tokio::test]
async fn what_cannot_be_followed_is_told() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "cron-told", async |stage| {
        for (spec, expected) in [
            (
                json!({ "timeZone": "Mars/Olympus" }),
                "spec.timeZone: \"Mars/Olympus\": there is no such time zone",
            ),
            (json!({ "schedule": "0 0 31 2 *" }), "spec.schedule: \"0 0 31 2 *\": no year has such a day"),
        ] {
            start(stage, "odd", "unserved", spec).await;
            let object = until(stage, "odd", "it is told", |status| !status.conditions.is_empty()).await;
            let (holds, reason, message) = ready(&object);
            assert_eq!((holds.as_str(), reason.as_str()), ("False", "InvalidSchedule"));
            assert!(message.contains(expected), "{message}");
            let remedy = json!({ "timeZone": "Asia/Tokyo", "schedule": "0 0 1 1 *" });
            stage.patch::<ColonyCron>("odd", remedy).await.unwrap();
            until(stage, "odd", "it is followed", |status| !status.active.is_empty()).await;
            let crons: Api<ColonyCron> = stage.api();
            crons.delete("odd", &DeleteParams::background()).await.unwrap();
            until_runs(stage, "odd", &[]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn bad_schedules_are_refused_at_admission() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "cron-bad", async |namespace| {
        let resource = ApiResource::erase::<ColonyCron>(&());
        let crons: Api<DynamicObject> =
            Api::namespaced_with(namespace.kubernetes.calls.clone(), &namespace.name, &resource);
        for (spec, expected) in [
            (json!({ "schedule": "61 * * * *" }), "schedule: \"61 * * * *\" is not a schedule: give minute"),
            (json!({ "schedule": "TZ=Asia/Tokyo * * * * *" }), "the time zone goes into timeZone"),
            (json!({ "timeZone": "Local" }), "timeZone: \"Local\" is not the name of a time zone"),
            (json!({ "timeZone": "../etc" }), "is not the name of a time zone"),
            (json!({ "concurrencyPolicy": "Never" }), "concurrencyPolicy"),
            (json!({ "startingDeadlineSeconds": 0 }), "startingDeadlineSeconds"),
            (json!({ "failedHistoryLimit": -1 }), "failedHistoryLimit"),
            (json!({ "processTemplate": null }), "set either processTemplate or workflowTemplate"),
            (json!({ "processTemplate": { "spec": { "function": "f" } } }), "conditions"),
        ] {
            let refused = cron("main", "bad", "t", &spec);
            assert_refused(&crons, vec![(expected, refused, &[expected])]).await;
        }
        let mut long = cron("main", "bad", "t", &json!({}));
        long["metadata"]["name"] = json!("n".repeat(53));
        assert_refused(&crons, vec![("a long name", long, &["at most 52 characters"])]).await;
        let taken =
            admit(&crons, cron("main", "good", "t", &json!({ "schedule": "*/5 8-18 ? * mon-FRI" }))).await;
        let spec = &taken.unwrap().data["spec"];
        assert_eq!((&spec["successfulHistoryLimit"], &spec["failedHistoryLimit"]), (&json!(3), &json!(1)));
        assert_eq!((&spec["concurrencyPolicy"], &spec["suspend"]), (&json!("Allow"), &json!(false)));

        // The template is for the runs to come: what cannot change in a process can change in it.
        let object = serde_json::from_value(cron("main", "good", "t", &json!({}))).unwrap();
        crons.create(&PostParams::default(), &object).await.unwrap();
        let spec =
            json!({ "spec": { "processTemplate": { "spec": { "colony": "other", "function": "g" } } } });
        crons.patch("good", &PatchParams::default(), &Patch::Merge(spec)).await.unwrap();
    })
    .await;
}

/// What is shown to users must apply and lose nothing on the way.
#[tokio::test]
async fn the_example_is_taken_unchanged() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "cron-example", async |namespace| {
        let mut sent: Value =
            serde_norway::from_str(include_str!("../../examples/colony-cron.yaml")).unwrap();
        sent["metadata"].as_object_mut().unwrap().remove("namespace");
        let crons: Api<ColonyCron> = namespace.api();
        let parameters = PatchParams::apply("tests").validation_strict().dry_run();
        let taken = crons.patch("nightly-cleanup", &parameters, &Patch::Apply(&sent)).await.unwrap();
        let taken = serde_json::to_value(&taken.spec).unwrap();
        for (field, value) in
            sent["spec"].as_object().unwrap().iter().filter(|(field, _)| *field != "processTemplate")
        {
            assert_eq!(taken[field], *value);
        }
        let template = &sent["spec"]["processTemplate"];
        assert_eq!(taken["processTemplate"]["metadata"], template["metadata"]);
        for (field, value) in template["spec"].as_object().unwrap() {
            assert_eq!(taken["processTemplate"]["spec"][field], *value);
        }
    })
    .await;
}
