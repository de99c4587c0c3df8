//! Definitions of blueprints: which kinds there are, what they must look like, and who brings them about.

use serde::Deserialize;
use serde_json::{Value, json};

use colonyos_client::model::BlueprintDefinition;

use super::{
    answer::{Answer, Refusal, done, read, refuse, time},
    record::Document,
    schema,
    server::ColonyServer,
};

#[derive(Deserialize)]
struct Named {
    #[serde(alias = "namespace", alias = "colonyname", default)]
    colony: String,
    #[serde(default)]
    name: String,
}

impl ColonyServer {
    pub(super) fn definition_call(
        &mut self,
        caller: &str,
        payload_type: &str,
        inner: &Value,
    ) -> Option<Answer> {
        let answer = match payload_type {
            "addblueprintdefinitionmsg" => self.add_definition(caller, inner),
            "getblueprintdefinitionmsg" => self.definition(caller, inner),
            "getblueprintdefinitionsmsg" => self.definitions(caller, inner),
            "removeblueprintdefinitionmsg" => self.remove_definition(caller, inner),
            _ => return None,
        };
        Some(answer)
    }

    fn add_definition(&mut self, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            blueprintdefinition: BlueprintDefinition,
        }
        let Payload { blueprintdefinition: mut added } = read(inner)?;
        self.require_owner(caller, &added.metadata.colony)?;
        if added.id.is_empty() {
            added.id = self.mint();
        }
        let same_name = |one: &&BlueprintDefinition| {
            one.metadata.colony == added.metadata.colony && one.metadata.name == added.metadata.name
        };
        let is_taken = |one: &BlueprintDefinition| one.id == added.id || same_name(&one);
        if self.blueprints.definitions.iter().any(is_taken) {
            let message =
                "pq: duplicate key value violates unique constraint \"prod_blueprintdefinitions_key\"";
            return refuse(500, message);
        }
        let never = time(None);
        for field in ["createdAt", "updatedAt", "lastReconciliationTime"] {
            added.metadata.other.entry(field).or_insert_with(|| never.clone());
        }
        let shown = json!(added);
        self.blueprints.definitions.push(added);
        Ok(shown)
    }

    fn definition_named(&self, colony: &str, name: &str) -> Option<&BlueprintDefinition> {
        let mut definitions = self.blueprints.definitions.iter();
        definitions.find(|one| one.metadata.colony == colony && one.metadata.name == name)
    }

    fn definition(&self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, name, .. } = read(inner)?;
        self.require_member_or_owner(caller, &colony)?;
        let definition = self.definition_named(&colony, &name).map(|definition| json!(definition));
        definition.ok_or_else(|| (404, "Blueprint definition not found".to_owned()))
    }

    /// Those of a colony, by name.
    fn definitions_of(&self, colony: &str) -> Vec<&BlueprintDefinition> {
        let definitions = self.blueprints.definitions.iter();
        let mut definitions: Vec<_> = definitions.filter(|one| one.metadata.colony == colony).collect();
        definitions.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        definitions
    }

    fn definitions(&self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, .. } = read(inner)?;
        self.require_member_or_owner(caller, &colony)?;
        Ok(json!(self.definitions_of(&colony)))
    }

    fn remove_definition(&mut self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, name, .. } = read(inner)?;
        self.require_owner(caller, &colony)?;
        let Some(definition) = self.definition_named(&colony, &name) else {
            return refuse(404, format!("BlueprintDefinition '{name}' not found in namespace '{colony}'"));
        };
        let (id, kind) = (definition.id.clone(), definition.spec.names.kind.clone());
        let blueprints = self.blueprints.blueprints.iter();
        let left = blueprints.filter(|one| one.metadata.colonyname == colony && one.kind == kind).count();
        if left > 0 {
            let message = format!(
                "cannot remove BlueprintDefinition '{name}': {left} blueprint(s) of kind '{kind}' still exist"
            );
            return refuse(409, message);
        }
        self.blueprints.definitions.retain(|one| one.id != id);
        done()
    }

    /// The definition of a blueprint that is to be stored, which it must keep to.
    pub(super) fn definition_for(&self, blueprint: &Document) -> Result<BlueprintDefinition, Refusal> {
        let Document { kind, metadata, spec, .. } = blueprint;
        if kind.is_empty() {
            return refuse(400, "blueprint kind is required");
        }
        let definitions = self.definitions_of(&metadata.colonyname);
        let Some(definition) = definitions.into_iter().find(|one| one.spec.names.kind == *kind) else {
            let colony = &metadata.colonyname;
            return refuse(
                400,
                format!("BlueprintDefinition for kind '{kind}' not found in namespace '{colony}'"),
            );
        };
        let fault = definition.spec.schema.as_ref().and_then(|schema| schema::fault(spec, schema));
        match fault {
            Some(fault) => refuse(400, format!("blueprint validation failed: {fault}")),
            None => Ok(definition.clone()),
        }
    }

    /// Type and function of the first definition of a kind **in whatever colony**.
    pub(super) fn handler_of(&self, kind: &str) -> Option<(String, String)> {
        let definition = self.blueprints.definitions.iter().find(|one| one.spec.names.kind == kind)?;
        let handler = &definition.spec.handler;
        Some((handler.executor_type.clone(), handler.function.clone()))
    }
}
