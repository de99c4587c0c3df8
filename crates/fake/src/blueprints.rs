//! Blueprints: what is kept of them, and the processes that come with them.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use colonyos_client::model::{BlueprintDefinition, null_is_empty};

use super::{
    answer::{Answer, Refusal, done, list, read, refuse},
    record::{Conditions, CronRecord, Document, Metadata, ProcessRecord, Spec},
    server::ColonyServer,
};

#[derive(Deserialize)]
struct Named {
    #[serde(alias = "namespace", alias = "colonyname", default)]
    colony: String,
    #[serde(alias = "blueprintname", default)]
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(rename = "locationname", default)]
    location: String,
    #[serde(default)]
    force: bool,
    #[serde(default, deserialize_with = "null_is_empty")]
    status: Map<String, Value>,
    #[serde(rename = "blueprintid", default)]
    id: String,
    #[serde(default)]
    limit: usize,
}

#[derive(Deserialize)]
struct BlueprintCall {
    blueprint: Document,
    #[serde(rename = "forcegeneration", default)]
    force: bool,
}

impl ColonyServer {
    pub(super) fn blueprint_call(
        &mut self,
        now: Timestamp,
        caller: &str,
        payload_type: &str,
        inner: &Value,
    ) -> Option<Answer> {
        let answer = match payload_type {
            "addblueprintmsg" => self.add_blueprint(now, caller, inner),
            "getblueprintmsg" => self.blueprint(caller, inner),
            "getblueprintsmsg" => self.blueprints(caller, inner),
            "updateblueprintmsg" => self.update_blueprint(now, caller, inner),
            "removeblueprintmsg" => self.remove_blueprint(now, caller, inner),
            "updateblueprintstatusmsg" => self.update_blueprint_status(caller, inner),
            "reconcileblueprintmsg" => self.reconcile_blueprint(now, caller, inner),
            "getblueprinthistorymsg" => self.blueprint_history(caller, inner),
            _ => return None,
        };
        Some(answer)
    }

    fn position(&self, colony: &str, name: &str) -> Option<usize> {
        let mut blueprints = self.blueprints.blueprints.iter();
        blueprints.position(|one| one.metadata.colonyname == colony && one.metadata.name == name)
    }

    fn found(&self, colony: &str, name: &str) -> Result<(usize, &Document), Refusal> {
        let position = self.position(colony, name);
        let found = position.and_then(|at| Some((at, self.blueprints.blueprints.get(at)?)));
        found.ok_or_else(|| (404, "Blueprint not found".to_owned()))
    }

    fn add_blueprint(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let BlueprintCall { blueprint: mut added, .. } = read(inner)?;
        let colony = added.metadata.colonyname.clone();
        self.require_member_or_owner(caller, &colony)?;
        if added.blueprintid.is_empty() {
            added.blueprintid = self.mint();
        }
        let definition = self.definition_for(&added)?;
        if self.position(&colony, &added.metadata.name).is_some() {
            let name = &added.metadata.name;
            return refuse(409, format!("blueprint with name '{name}' already exists in colony '{colony}'"));
        }
        if self.blueprints.blueprints.iter().any(|one| one.blueprintid == added.blueprintid) {
            return refuse(
                500,
                "pq: duplicate key value violates unique constraint \"prod_blueprints_pkey\"",
            );
        }
        self.remember(now, caller, &added, "create");
        self.blueprints.blueprints.push(added.clone());
        if let Some(spec) = reconciliation(&added, &definition) {
            let initiator = self.initiator(&colony, caller).unwrap_or_default();
            self.keep_reconcile_cron(&added, &spec, (caller, &initiator))?;
            let id = self.mint();
            self.add_process(ProcessRecord::new(id, spec, (caller, &initiator), now)?);
        }
        Ok(added.to_json())
    }

    fn remember(&mut self, now: Timestamp, caller: &str, blueprint: &Document, change: &str) {
        let id = self.mint();
        self.blueprints.history.push(blueprint.revision(now, &id, caller, change));
    }

    /// The cron that has the whole kind reconciled each minute, if there is none yet.
    fn keep_reconcile_cron(
        &mut self,
        blueprint: &Document,
        spec: &Spec,
        initiator: (&str, &str),
    ) -> Result<(), Refusal> {
        let (colony, name) = (&blueprint.metadata.colonyname, blueprint.cron_name());
        if self.has_cron(colony, &name) {
            return Ok(());
        }
        let node = Spec { kwargs: json!({"kind": blueprint.kind}), ..spec.clone() };
        self.keep_cron(CronRecord {
            colony: colony.clone(),
            name,
            interval: 60,
            workflow: json!({"colonyname": colony, "functionspecs": [node]}).to_string(),
            waits_for_previous: true,
            initiator: (initiator.0.to_owned(), initiator.1.to_owned()),
            ..CronRecord::default()
        })?;
        Ok(())
    }

    fn blueprint(&self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, name, .. } = read(inner)?;
        self.require_member_or_owner(caller, &colony)?;
        Ok(self.found(&colony, &name)?.1.to_json())
    }

    /// Without a kind, the location does not matter.
    fn blueprints(&self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, kind, location, .. } = read(inner)?;
        self.require_member_or_owner(caller, &colony)?;
        let passes = |one: &&Document| {
            let at = &one.metadata.locationname;
            let is_there = location.is_empty() || at.to_lowercase() == location.to_lowercase();
            one.metadata.colonyname == colony && (kind.is_empty() || (one.kind == kind && is_there))
        };
        let mut found: Vec<_> = self.blueprints.blueprints.iter().filter(passes).collect();
        found.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        Ok(list(found.into_iter().map(Document::to_json).collect()))
    }

    /// The whole document is overwritten, but for its id; the generation is counted here.
    fn update_blueprint(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let BlueprintCall { blueprint: mut new, force } = read(inner)?;
        let Metadata { name, colonyname: colony, .. } = new.metadata.clone();
        self.require_member_or_owner(caller, &colony)?;
        let Ok((position, old)) = self.found(&colony, &name) else {
            return refuse(404, format!("blueprint '{name}' not found in namespace '{colony}'"));
        };
        let definition = self.definition_for(&new)?;
        new.blueprintid.clone_from(&old.blueprintid);
        let has_changed = force || old.spec != new.spec;
        new.metadata.generation = old.metadata.generation + i64::from(has_changed);
        if let Some(stored) = self.blueprints.blueprints.get_mut(position) {
            stored.clone_from(&new);
        }
        if has_changed {
            self.remember(now, caller, &new, "update");
            if let Some((initiator, spec)) =
                self.initiator(&colony, caller).zip(reconciliation(&new, &definition))
            {
                let id = self.mint();
                self.add_process(ProcessRecord::new(id, spec, (caller, &initiator), now)?);
            }
        }
        Ok(new.to_json())
    }

    fn remove_blueprint(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let Named { colony, name, .. } = read(inner)?;
        self.require_member_or_owner(caller, &colony)?;
        let (position, _) = self.found(&colony, &name)?;
        let removed = self.blueprints.blueprints.remove(position);
        let cron = removed.cron_name();
        let is_last = !self.blueprints.blueprints.iter().any(|one| {
            one.metadata.colonyname == colony && one.kind == removed.kind && one.cron_name() == cron
        });
        if is_last {
            self.crons.retain(|one| one.colony != colony || one.name != cron);
        }
        if let Some(handler) = self.handler_of(&removed.kind).filter(|handler| !handler.0.is_empty()) {
            let kwargs = json!({"blueprintName": name, "kind": removed.kind});
            let spec = function(&removed, &handler.0, "cleanup", kwargs);
            let initiator = self.initiator(&colony, caller).unwrap_or_default();
            let id = self.mint();
            self.add_process(ProcessRecord::new(id, spec, (caller, &initiator), now)?);
        }
        done()
    }

    fn update_blueprint_status(&mut self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, name, status, .. } = read(inner)?;
        self.require_member(caller, &colony, true)?;
        let (position, _) = self.found(&colony, &name)?;
        if let Some(stored) = self.blueprints.blueprints.get_mut(position) {
            stored.status = status;
        }
        done()
    }

    fn reconcile_blueprint(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let Named { colony, name, force, .. } = read(inner)?;
        self.require_member(caller, &colony, true)?;
        let (position, _) = self.found(&colony, &name)?;
        let Some(stored) = self.blueprints.blueprints.get_mut(position) else { return done() };
        stored.metadata.generation += i64::from(force);
        let blueprint = stored.clone();
        let Some(initiator) = self.initiator(&colony, caller) else {
            return refuse(500, "Could not derive InitiatorName");
        };
        let (executor_type, name_of_function) = self.handler_of(&blueprint.kind).unwrap_or_default();
        for (part, what) in [(&executor_type, "executor type"), (&name_of_function, "function name")] {
            if part.is_empty() {
                return refuse(400, format!("Blueprint has no handler with {what} defined"));
            }
        }
        let mut kwargs = json!({"kind": blueprint.kind, "blueprintName": name});
        if let Some(kwargs) = kwargs.as_object_mut().filter(|_| force) {
            kwargs.insert("force".to_owned(), true.into());
        }
        let spec = function(&blueprint, &executor_type, &name_of_function, kwargs);
        let id = self.mint();
        Ok(self.add_process(ProcessRecord::new(id, spec, (caller, &initiator), now)?))
    }

    fn blueprint_history(&self, caller: &str, inner: &Value) -> Answer {
        let Named { id, limit, .. } = read(inner)?;
        let Some(blueprint) = self.blueprints.blueprints.iter().find(|one| one.blueprintid == id) else {
            return refuse(404, "Blueprint not found");
        };
        self.require_member_or_owner(caller, &blueprint.metadata.colonyname)?;
        let revisions = self.blueprints.history.iter().rev().filter(|entry| entry["blueprintid"] == *id);
        let most = if limit == 0 { usize::MAX } else { limit };
        Ok(list(revisions.take(most).cloned().collect()))
    }
}

/// What the handler of a blueprint is asked for; none without a whole handler.
fn reconciliation(blueprint: &Document, definition: &BlueprintDefinition) -> Option<Spec> {
    let handler = &definition.spec.handler;
    if handler.executor_type.is_empty() || handler.function.is_empty() {
        return None;
    }
    let kwargs = json!({"kind": blueprint.kind, "blueprintName": blueprint.metadata.name});
    Some(function(blueprint, &handler.executor_type, &handler.function, kwargs))
}

fn function(blueprint: &Document, executor_type: &str, function: &str, kwargs: Value) -> Spec {
    Spec {
        nodename: format!("{executor_type}-{function}"),
        funcname: function.to_owned(),
        args: json!([]),
        kwargs,
        maxexectime: -1,
        maxretries: -1,
        conditions: Conditions {
            colonyname: blueprint.metadata.colonyname.clone(),
            executortype: executor_type.to_owned(),
            locationname: blueprint.metadata.locationname.clone(),
            ..Conditions::default()
        },
        ..Spec::default()
    }
}
