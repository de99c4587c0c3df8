//! Blueprints: what is kept and what is lost, how they are counted, and the processes that come with them.

use colonyos_operator::colony::{
    Blueprint, BlueprintDefinition, Error, ErrorKind, Process, ProcessQuery, ProcessState,
};
use futures::future::join_all;
use serde_json::{Map, Value, json};

use crate::{
    backend::{Stage, checks, refused},
    support::server::letters,
};

checks! {
    a_definition_comes_back_as_it_was_added,
    definitions_are_the_owners,
    a_definition_in_use_is_not_removed,
    a_blueprint_comes_back_as_it_was_added_with_a_process_and_a_cron,
    an_id_may_be_chosen_once,
    names_are_taken_over_all_kinds,
    a_spec_must_be_as_the_schema_says,
    a_kind_without_a_definition_is_refused,
    a_handler_without_a_function_makes_no_process,
    a_changed_spec_counts_and_is_reconciled,
    the_owner_adds_with_a_process_but_updates_without,
    an_update_overwrites_everything_but_the_id_and_the_generation,
    what_is_read_and_sent_back_changes_nothing,
    a_status_is_set_by_members_and_nothing_else_with_it,
    a_reconcile_is_a_process_and_by_force_a_generation,
    a_removed_blueprint_leaves_a_clean_up_and_takes_the_last_cron,
    blueprints_are_listed_by_kind_and_place,
    a_history_holds_every_generation_and_outlives_the_blueprint,
    of_the_first_ones_at_once_those_that_are_refused_are_not_left,
    a_missing_blueprint_is_not_found,
    strangers_see_and_change_nothing,
}

/// A kind of its own: the server looks for its definition over all colonies.
struct Kind {
    kind: String,
    definition: BlueprintDefinition,
}

impl Kind {
    fn new(stage: &Stage) -> Self {
        let kind = format!("Fleet{}", letters());
        let name = kind.to_lowercase();
        let definition =
            BlueprintDefinition::new(&stage.colony, &name, &kind, &stage.executor_type, "reconcile").unwrap();
        Self { kind, definition }
    }

    async fn added(stage: &Stage) -> Self {
        let kind = Self::new(stage);
        stage.owner.add_blueprint_definition(&kind.definition).await.unwrap();
        kind
    }

    fn name(&self) -> &str {
        &self.definition.metadata.name
    }

    fn blueprint(&self, stage: &Stage, name: &str) -> Blueprint {
        let mut blueprint = Blueprint::new(&stage.colony, &self.kind, name).unwrap();
        blueprint.spec = map(&json!({"replicas": 1}));
        blueprint
    }
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The waiting processes of the colony, the oldest first.
async fn queue(stage: &Stage) -> Vec<Process> {
    stage.user.processes(&ProcessQuery::new(ProcessState::Waiting)).await.unwrap()
}

async fn a_definition_comes_back_as_it_was_added(stage: Stage) {
    assert_eq!(stage.user.blueprint_definitions().await.unwrap(), []);
    let mut kind = Kind::new(&stage);
    let spec = &mut kind.definition.spec;
    (spec.group, spec.version, spec.scope) = ("g.example".into(), "v1".into(), "Namespaced".into());
    spec.names.plural = "fleets".into();
    spec.handler.reconcile_interval = 7;
    spec.schema = Some(json!({"type": "object", "properties": {"replicas": {"type": "number"}}}));
    let added = stage.owner.add_blueprint_definition(&kind.definition).await.unwrap();
    assert_eq!(added.id.len(), 64);
    assert_eq!(added.spec, kind.definition.spec);
    let read = stage.user.blueprint_definition(kind.name()).await.unwrap();
    assert_eq!((&read.spec, &read.id, read.kind.as_str()), (&added.spec, &added.id, "BlueprintDefinition"));
    let other = Kind::added(&stage).await;
    let listed = stage.owner.blueprint_definitions().await.unwrap();
    let names: Vec<_> = listed.iter().map(|definition| definition.metadata.name.as_str()).collect();
    let mut expected = [kind.name(), other.name()];
    expected.sort_unstable();
    assert_eq!(names, expected, "by name");
}

async fn definitions_are_the_owners(stage: Stage) {
    let kind = Kind::new(&stage);
    refused(stage.user.add_blueprint_definition(&kind.definition).await, 403, ErrorKind::Forbidden);
    stage.owner.add_blueprint_definition(&kind.definition).await.unwrap();
    refused(stage.owner.add_blueprint_definition(&kind.definition).await, 500, ErrorKind::AlreadyExists);
    refused(stage.user.remove_blueprint_definition(kind.name()).await, 403, ErrorKind::Forbidden);
    refused(stage.owner.remove_blueprint_definition("none").await, 404, ErrorKind::NotFound);
    refused(stage.user.blueprint_definition("none").await, 404, ErrorKind::NotFound);
    stage.owner.remove_blueprint_definition(kind.name()).await.unwrap();
    refused(stage.user.blueprint_definition(kind.name()).await, 404, ErrorKind::NotFound);
    stage.owner.add_blueprint_definition(&kind.definition).await.expect("the name may be used again");
}

async fn a_definition_in_use_is_not_removed(stage: Stage) {
    let kind = Kind::added(&stage).await;
    stage.user.add_blueprint(&kind.blueprint(&stage, "workers")).await.unwrap();
    refused(stage.owner.remove_blueprint_definition(kind.name()).await, 409, ErrorKind::Conflict);
    stage.user.remove_blueprint("workers").await.unwrap();
    stage.owner.remove_blueprint_definition(kind.name()).await.unwrap();
}

async fn a_blueprint_comes_back_as_it_was_added_with_a_process_and_a_cron(stage: Stage) {
    let kind = Kind::added(&stage).await;
    assert_eq!(stage.user.blueprints(None, None).await.unwrap(), []);
    let mut new = kind.blueprint(&stage, "workers");
    new.metadata.location = "lab".into();
    new.metadata.labels.insert("a".into(), "b".into());
    new.metadata.annotations.insert("c".into(), "d".into());
    new.status = map(&json!({"phase": "new"}));
    new.metadata.generation = 7;
    let added = stage.user.add_blueprint(&new).await.unwrap();
    let read = stage.user.blueprint("workers").await.unwrap();
    assert_eq!(read.id, added.id);
    let strip = |mut blueprint: Blueprint| {
        blueprint.id.clear();
        blueprint.metadata.other.clear();
        blueprint
    };
    assert_eq!((strip(added), strip(read)), (new.clone(), new), "the generation is the one that was sent");

    let queue = queue(&stage).await;
    let [process] = queue.as_slice() else { panic!("one process: {queue:?}") };
    let spec = &process.spec;
    assert_eq!((spec.function.as_str(), spec.conditions.location.as_str()), ("reconcile", "lab"));
    assert_eq!(spec.node_name, format!("{}-reconcile", stage.executor_type));
    assert_eq!(spec.conditions.executor_type, stage.executor_type);
    assert_eq!(json!(spec.kwargs), json!({"kind": kind.kind, "blueprintName": "workers"}));
    assert_eq!((spec.max_exec_seconds, spec.max_retries, spec.max_wait_seconds), (-1, -1, 0));
    assert_eq!(process.initiator_name, "ops");
    let crons = stage.user.crons(10).await.unwrap();
    let [cron] = crons.as_slice() else { panic!("one cron: {crons:?}") };
    assert_eq!(cron.name, format!("reconcile-{}-lab", kind.kind));
    assert!(cron.interval_seconds == 60 && cron.waits_for_previous, "{cron:?}");

    let mut second = kind.blueprint(&stage, "others");
    second.metadata.location = "lab".into();
    stage.user.add_blueprint(&second).await.unwrap();
    assert_eq!(stage.user.crons(10).await.unwrap().len(), 1, "one for the kind at a place");
    stage.user.add_blueprint(&kind.blueprint(&stage, "anywhere")).await.unwrap();
    assert_eq!(stage.user.crons(10).await.unwrap().len(), 2);
}

async fn an_id_may_be_chosen_once(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let mut new = kind.blueprint(&stage, "one");
    new.id = format!("chosen-{}", letters());
    assert_eq!(stage.user.add_blueprint(&new).await.unwrap().id, new.id);
    let other = Blueprint { id: new.id.clone(), ..kind.blueprint(&stage, "other") };
    refused(stage.user.add_blueprint(&other).await, 500, ErrorKind::AlreadyExists);
    refused(stage.user.blueprint("other").await, 404, ErrorKind::NotFound);
    let renamed = Blueprint { id: "another".into(), ..new.clone() };
    assert_eq!(stage.user.update_blueprint(&renamed, false).await.unwrap().id, new.id);
}

async fn names_are_taken_over_all_kinds(stage: Stage) {
    let (one, other) = (Kind::added(&stage).await, Kind::added(&stage).await);
    stage.user.add_blueprint(&one.blueprint(&stage, "workers")).await.unwrap();
    let taken = stage.user.add_blueprint(&other.blueprint(&stage, "workers")).await;
    refused(taken, 409, ErrorKind::AlreadyExists);
}

async fn a_spec_must_be_as_the_schema_says(stage: Stage) {
    let mut kind = Kind::new(&stage);
    kind.definition.spec.schema = Some(json!({
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "string"}, "replicas": {"type": "integer"}, "ratio": {"type": "number"},
            "on": {"type": "boolean"}, "mode": {"type": "string", "enum": ["a", "b"]},
            "list": {"type": "array", "items": {"type": "string"}},
            "nested": {"type": "object", "required": ["x"], "properties": {"y": {"type": "number"}}},
        },
    }));
    stage.owner.add_blueprint_definition(&kind.definition).await.unwrap();
    let blueprint = |spec: &Value| Blueprint { spec: map(spec), ..kind.blueprint(&stage, "workers") };
    for wrong in [
        json!({}),
        json!({"image": 1}),
        json!({"image": null}),
        json!({"image": "i", "ratio": "1"}),
        json!({"image": "i", "on": 1}),
        json!({"image": "i", "mode": "c"}),
        json!({"image": "i", "list": "x"}),
        json!({"image": "i", "list": [1]}),
        json!({"image": "i", "nested": {"y": "z"}}),
    ] {
        refused(stage.user.add_blueprint(&blueprint(&wrong)).await, 400, ErrorKind::Invalid);
    }
    // Neither the type `integer`, nor what is required further down, nor what has no name is looked at.
    let odd = json!({"image": "i", "replicas": "many", "nested": {}, "unknown": [1]});
    let added = stage.user.add_blueprint(&blueprint(&odd)).await.unwrap();
    assert_eq!(json!(added.spec), odd);
    let wrong = blueprint(&json!({"image": 1}));
    refused(stage.user.update_blueprint(&wrong, false).await, 400, ErrorKind::Invalid);
    assert_eq!(json!(stage.user.blueprint("workers").await.unwrap().spec), odd);
}

async fn a_kind_without_a_definition_is_refused(stage: Stage) {
    let kind = Kind::new(&stage);
    refused(stage.user.add_blueprint(&kind.blueprint(&stage, "workers")).await, 400, ErrorKind::Invalid);
    assert_eq!(queue(&stage).await.len(), 0);
}

async fn a_handler_without_a_function_makes_no_process(stage: Stage) {
    let mut kind = Kind::new(&stage);
    kind.definition.spec.handler.function.clear();
    stage.owner.add_blueprint_definition(&kind.definition).await.unwrap();
    stage.user.add_blueprint(&kind.blueprint(&stage, "workers")).await.unwrap();
    let changed = Blueprint { spec: Map::new(), ..kind.blueprint(&stage, "workers") };
    assert_eq!(stage.user.update_blueprint(&changed, false).await.unwrap().metadata.generation, 2);
    refused(stage.user.reconcile_blueprint("workers", false).await, 400, ErrorKind::Invalid);
    assert_eq!((queue(&stage).await.len(), stage.user.crons(9).await.unwrap().len()), (0, 0));
    stage.user.remove_blueprint("workers").await.unwrap();
    let queue = queue(&stage).await;
    assert_eq!(queue.iter().map(|process| process.spec.function.as_str()).collect::<Vec<_>>(), ["cleanup"]);
}

async fn a_changed_spec_counts_and_is_reconciled(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let mut blueprint = stage.user.add_blueprint(&kind.blueprint(&stage, "workers")).await.unwrap();
    blueprint.metadata.generation = 99;
    blueprint.metadata.labels.insert("only".into(), "a label".into());
    let same = stage.user.update_blueprint(&blueprint, false).await.unwrap();
    assert_eq!((same.metadata.generation, queue(&stage).await.len()), (1, 1), "a label does not count");
    blueprint.spec = map(&json!({"replicas": 2}));
    let changed = stage.user.update_blueprint(&blueprint, false).await.unwrap();
    assert_eq!((changed.metadata.generation, queue(&stage).await.len()), (2, 2));
    let forced = stage.user.update_blueprint(&blueprint, true).await.unwrap();
    assert_eq!((forced.metadata.generation, queue(&stage).await.len()), (3, 3));
    let both = Blueprint { spec: Map::new(), ..blueprint };
    assert_eq!(stage.user.update_blueprint(&both, true).await.unwrap().metadata.generation, 4, "not twice");
    assert_eq!(stage.user.blueprint("workers").await.unwrap().metadata.generation, 4);
}

async fn the_owner_adds_with_a_process_but_updates_without(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let mut blueprint = stage.owner.add_blueprint(&kind.blueprint(&stage, "workers")).await.unwrap();
    let queued = queue(&stage).await;
    assert_eq!(queued.iter().map(|process| process.initiator_name.as_str()).collect::<Vec<_>>(), [""]);
    blueprint.spec.clear();
    assert_eq!(stage.owner.update_blueprint(&blueprint, false).await.unwrap().metadata.generation, 2);
    assert_eq!(queue(&stage).await.len(), 1, "no executor is asked to reconcile it");
    refused(stage.owner.reconcile_blueprint("workers", false).await, 403, ErrorKind::Forbidden);
    refused(stage.owner.update_blueprint_status("workers", &Map::new()).await, 403, ErrorKind::Forbidden);
}

async fn an_update_overwrites_everything_but_the_id_and_the_generation(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let mut new = kind.blueprint(&stage, "workers");
    new.metadata.labels.insert("a".into(), "b".into());
    new.metadata.location = "lab".into();
    let added = stage.user.add_blueprint(&new).await.unwrap();
    stage.user.update_blueprint_status("workers", &map(&json!({"ready": 1}))).await.unwrap();
    stage.user.update_blueprint(&kind.blueprint(&stage, "workers"), false).await.unwrap();
    let left = stage.user.blueprint("workers").await.unwrap();
    assert_eq!((left.id, left.metadata.generation), (added.id, 1));
    assert!(left.status.is_empty() && left.metadata.labels.is_empty(), "lost");
    assert_eq!(left.metadata.location, "");
}

async fn what_is_read_and_sent_back_changes_nothing(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let mut new = kind.blueprint(&stage, "workers");
    new.metadata.labels.insert("a".into(), "b".into());
    new.spec = map(&json!({"z": [1.5, null, {"b": "ä", "a": true}], "a": 10_000_000_000_i64}));
    stage.user.add_blueprint(&new).await.unwrap();
    stage.user.update_blueprint_status("workers", &map(&json!({"ready": 1}))).await.unwrap();
    let read = stage.user.blueprint("workers").await.unwrap();
    assert_eq!(stage.user.update_blueprint(&read, false).await.unwrap(), read);
    assert_eq!(stage.user.blueprint("workers").await.unwrap(), read);
    assert_eq!(read.metadata.generation, 1);
}

async fn a_status_is_set_by_members_and_nothing_else_with_it(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let executor = stage.executor().await;
    let before = stage.user.add_blueprint(&kind.blueprint(&stage, "workers")).await.unwrap();
    executor.update_blueprint_status("workers", &map(&json!({"a": 1, "b": {"c": null}}))).await.unwrap();
    executor.update_blueprint_status("workers", &map(&json!({"b": 2}))).await.unwrap();
    let after = stage.user.blueprint("workers").await.unwrap();
    assert_eq!(json!(after.status), json!({"b": 2}), "replaced, not merged");
    assert_eq!((after.spec, after.metadata.generation), (before.spec, 1));
    assert_eq!(queue(&stage).await.len(), 1, "a status is not reconciled");
}

async fn a_reconcile_is_a_process_and_by_force_a_generation(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let added = stage.user.add_blueprint(&kind.blueprint(&stage, "workers")).await.unwrap();
    let process = stage.user.reconcile_blueprint("workers", false).await.unwrap();
    assert_eq!(json!(process.spec.kwargs), json!({"kind": kind.kind, "blueprintName": "workers"}));
    assert_eq!((process.state, process.spec.function.as_str()), (ProcessState::Waiting, "reconcile"));
    assert_eq!(stage.user.blueprint("workers").await.unwrap().metadata.generation, 1);
    let process = stage.user.reconcile_blueprint("workers", true).await.unwrap();
    assert_eq!(process.spec.kwargs["force"], true);
    assert_eq!(stage.user.blueprint("workers").await.unwrap().metadata.generation, 2);
    let history = stage.user.blueprint_history(&added.id, None).await.unwrap();
    assert_eq!(history.len(), 1, "a generation by force is not in it");
}

async fn a_removed_blueprint_leaves_a_clean_up_and_takes_the_last_cron(stage: Stage) {
    let kind = Kind::added(&stage).await;
    for name in ["one", "two"] {
        stage.user.add_blueprint(&kind.blueprint(&stage, name)).await.unwrap();
    }
    stage.user.remove_blueprint("one").await.unwrap();
    refused(stage.user.blueprint("one").await, 404, ErrorKind::NotFound);
    refused(stage.user.remove_blueprint("one").await, 404, ErrorKind::NotFound);
    assert_eq!(stage.user.crons(9).await.unwrap().len(), 1);
    let queue = queue(&stage).await;
    let cleanup: Vec<_> = queue.iter().filter(|process| process.spec.function == "cleanup").collect();
    let [cleanup] = cleanup.as_slice() else { panic!("one: {cleanup:?}") };
    assert_eq!(json!(cleanup.spec.kwargs), json!({"blueprintName": "one", "kind": kind.kind}));
    assert_eq!(cleanup.spec.node_name, format!("{}-cleanup", stage.executor_type));
    assert_eq!(cleanup.spec.conditions.executor_type, stage.executor_type);
    stage.owner.remove_blueprint("two").await.expect("the owner may, too");
    assert_eq!(stage.user.crons(9).await.unwrap(), []);
    stage.user.add_blueprint(&kind.blueprint(&stage, "one")).await.expect("the name may be used again");
}

async fn blueprints_are_listed_by_kind_and_place(stage: Stage) {
    let (one, other) = (Kind::added(&stage).await, Kind::added(&stage).await);
    for (kind, name, location) in
        [(&one, "c", "lab"), (&one, "b", ""), (&other, "a", "lab"), (&one, "d", "attic")]
    {
        let mut blueprint = kind.blueprint(&stage, name);
        blueprint.metadata.location = location.into();
        stage.user.add_blueprint(&blueprint).await.unwrap();
    }
    for (kind, location, expected) in [
        (None, None, "abcd"),
        (Some(&one), None, "bcd"),
        (Some(&one), Some("lab"), "c"),
        (Some(&one), Some("LAB"), "c"),
        (Some(&other), Some("attic"), ""),
        (None, Some("lab"), "ac"),
    ] {
        let kind = kind.map(|kind| kind.kind.as_str());
        let listed = stage.user.blueprints(kind, location).await.unwrap();
        let names: String = listed.iter().map(|blueprint| blueprint.metadata.name.as_str()).collect();
        assert_eq!(names, expected, "{kind:?} {location:?}");
    }
}

async fn a_history_holds_every_generation_and_outlives_the_blueprint(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let mut new = kind.blueprint(&stage, "workers");
    new.id = format!("chosen-{}", letters());
    stage.user.add_blueprint(&new).await.unwrap();
    new.spec = map(&json!({"replicas": 2}));
    stage.user.update_blueprint(&new, false).await.unwrap();
    new.metadata.labels.insert("a".into(), "b".into());
    stage.user.update_blueprint(&new, false).await.unwrap();
    let history = stage.user.blueprint_history(&new.id, None).await.unwrap();
    let changes: Vec<_> = history.iter().map(|entry| (entry.generation, entry.change.as_str())).collect();
    assert_eq!(changes, [(2, "update"), (1, "create")]);
    assert_eq!(
        (json!(history[1].spec), history[0].changed_by.as_str()),
        (json!({"replicas": 1}), stage.user.id().as_str())
    );
    let latest = stage.user.blueprint_history(&new.id, std::num::NonZeroU32::new(1)).await.unwrap();
    assert_eq!(latest, history[..1]);
    stage.user.remove_blueprint("workers").await.unwrap();
    refused(stage.user.blueprint_history(&new.id, None).await, 404, ErrorKind::NotFound);
    stage.user.add_blueprint(&new).await.unwrap();
    let history = stage.user.blueprint_history(&new.id, None).await.unwrap();
    assert_eq!(history.len(), 3, "what the one before was is there again");
}

/// With the first one comes a cron; of several at once, those that fail to add it are removed again.
async fn of_the_first_ones_at_once_those_that_are_refused_are_not_left(stage: Stage) {
    for round in 0..8 {
        let kind = Kind::added(&stage).await;
        let names: Vec<String> = (0..16).map(|number| format!("workers-{round}-{number}")).collect();
        let new: Vec<_> = names.iter().map(|name| kind.blueprint(&stage, name)).collect();
        let added = join_all(new.iter().map(|new| stage.user.add_blueprint(new))).await;
        for (name, added) in names.iter().zip(&added) {
            let found = stage.user.blueprint(name).await;
            match added {
                Ok(added) => assert_eq!(found.unwrap().id, added.id),
                Err(error) => {
                    assert_eq!(error.status(), Some(500), "{error}");
                    refused(found, 404, ErrorKind::NotFound);
                }
            }
        }
        assert!(added.iter().any(Result::is_ok), "{added:?}");
    }
}

async fn a_missing_blueprint_is_not_found(stage: Stage) {
    let kind = Kind::added(&stage).await;
    refused(stage.user.blueprint("none").await, 404, ErrorKind::NotFound);
    let update = kind.blueprint(&stage, "none");
    refused(stage.user.update_blueprint(&update, false).await, 404, ErrorKind::NotFound);
    refused(stage.user.update_blueprint_status("none", &Map::new()).await, 404, ErrorKind::NotFound);
    refused(stage.user.reconcile_blueprint("none", false).await, 404, ErrorKind::NotFound);
    refused(stage.user.remove_blueprint("none").await, 404, ErrorKind::NotFound);
    refused(stage.user.blueprint_history("none", None).await, 404, ErrorKind::NotFound);
}

async fn strangers_see_and_change_nothing(stage: Stage) {
    let kind = Kind::added(&stage).await;
    let added = stage.user.add_blueprint(&kind.blueprint(&stage, "workers")).await.unwrap();
    let key = colonyos_operator::colony::PrivateKey::generate().unwrap();
    let stranger = stage.client.session(&stage.colony, key);
    let forbidden = |result: Result<(), Error>| refused(result, 403, ErrorKind::Forbidden);
    forbidden(stranger.blueprint("workers").await.map(drop));
    forbidden(stranger.blueprints(None, None).await.map(drop));
    forbidden(stranger.blueprint_definition(kind.name()).await.map(drop));
    forbidden(stranger.blueprint_definitions().await.map(drop));
    forbidden(stranger.add_blueprint(&kind.blueprint(&stage, "more")).await.map(drop));
    forbidden(stranger.update_blueprint(&added, true).await.map(drop));
    forbidden(stranger.update_blueprint_status("workers", &Map::new()).await);
    forbidden(stranger.reconcile_blueprint("workers", true).await.map(drop));
    forbidden(stranger.remove_blueprint("workers").await);
    forbidden(stranger.blueprint_history(&added.id, None).await.map(drop));
    assert_eq!(stage.user.blueprint("workers").await.unwrap(), added);
}
