//! Calls about blueprints and their definitions. For members and, unless noted otherwise, the colony's owner.

use std::num::NonZeroU32;

use serde_json::{Map, Value};

use super::{
    super::{
        error::Error,
        model::{Blueprint, BlueprintDefinition, BlueprintRevision, Process},
        wire::{
            AddBlueprint, AddBlueprintDefinition, GetBlueprint, GetBlueprintDefinition,
            GetBlueprintDefinitions, GetBlueprintHistory, GetBlueprints, ReconcileBlueprint, RemoveBlueprint,
            RemoveBlueprintDefinition, UpdateBlueprint, UpdateBlueprintStatus,
        },
    },
    Session,
};

impl Session {
    /// Adds a definition. For the colony's owner alone.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when there is one of that name or id; [`Error::Forbidden`] when the key is not
    /// the owner's; else as any call.
    pub async fn add_blueprint_definition(
        &self,
        definition: &BlueprintDefinition,
    ) -> Result<BlueprintDefinition, Error> {
        self.call(&AddBlueprintDefinition { blueprintdefinition: definition }).await
    }

    /// Reads the definition of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn blueprint_definition(&self, name: &str) -> Result<BlueprintDefinition, Error> {
        self.call(&GetBlueprintDefinition { colonyname: &self.colony, name }).await
    }

    /// Lists all definitions of the colony by name.
    ///
    /// # Errors
    /// As any call. A list that cannot be read is an error, never empty.
    pub async fn blueprint_definitions(&self) -> Result<Vec<BlueprintDefinition>, Error> {
        Ok(self.call(&GetBlueprintDefinitions { colonyname: &self.colony }).await?.0)
    }

    /// Removes the definition of that name. For the colony's owner alone.
    ///
    /// # Errors
    /// [`Error::Conflict`] while the colony has blueprints of its kind; [`Error::NotFound`] when there is none;
    /// [`Error::Forbidden`] when the key is not the owner's; else as any call.
    pub async fn remove_blueprint_definition(&self, name: &str) -> Result<(), Error> {
        self.call(&RemoveBlueprintDefinition { namespace: &self.colony, name }).await.map(|_| ())
    }

    /// Adds a blueprint, with its status, too, if it has one. When its kind has a handler, the server also
    /// submits a process for it, and adds a cron that does so for the whole kind each minute.
    ///
    /// Its [id](Blueprint::id) may be chosen by the client; it then distinguishes blueprints of the same name.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the colony has a blueprint of that name, **of whatever kind**, or the server has
    /// one of that id; [`Error::Invalid`] when the colony has no definition of its kind, or the spec does not match
    /// the definition's schema; else as any call.
    pub async fn add_blueprint(&self, blueprint: &Blueprint) -> Result<Blueprint, Error> {
        self.call(&AddBlueprint { blueprint }).await
    }

    /// Reads the blueprint of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn blueprint(&self, name: &str) -> Result<Blueprint, Error> {
        self.call(&GetBlueprint { namespace: &self.colony, name }).await
    }

    /// Lists the blueprints of the colony by name, all of them or those of a kind, at a location (the case of
    /// letters does not matter), or both. There is no limit.
    ///
    /// # Errors
    /// As any call. A list that cannot be read is an error, never empty.
    pub async fn blueprints(
        &self,
        kind: Option<&str>,
        location: Option<&str>,
    ) -> Result<Vec<Blueprint>, Error> {
        let (kind, locationname) = (kind.unwrap_or_default(), location.unwrap_or_default());
        let call = GetBlueprints { namespace: &self.colony, kind, locationname };
        let mut blueprints = self.call(&call).await?.0;
        // Without a kind the server ignores the location.
        if !locationname.is_empty() {
            let wanted = locationname.to_lowercase();
            blueprints.retain(|blueprint| blueprint.metadata.location.to_lowercase() == wanted);
        }
        Ok(blueprints)
    }

    /// Stores a blueprint in place of the one of that name: **all of it**. Status, labels, annotations and times that
    /// are not sent are gone, and what others wrote since it was read is lost. Only the id stays, and the generation,
    /// which grows by one when the spec differs or with `force_generation`.
    ///
    /// When the generation grows and its kind has a handler, the server also submits a process for it, unless
    /// the key is the colony's owner's.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name; [`Error::Invalid`] as for
    /// [`Session::add_blueprint`]; else as any call.
    pub async fn update_blueprint(
        &self,
        blueprint: &Blueprint,
        force_generation: bool,
    ) -> Result<Blueprint, Error> {
        self.call(&UpdateBlueprint { blueprint, forcegeneration: force_generation }).await
    }

    /// Removes the blueprint of that name **at once**; then, when its kind has a handler, the server submits a
    /// process with the function `cleanup`. Nothing waits for that. Its history cannot be read any more, until
    /// there is a blueprint of the same id again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn remove_blueprint(&self, name: &str) -> Result<(), Error> {
        self.call(&RemoveBlueprint { namespace: &self.colony, name }).await.map(|_| ())
    }

    /// Sets the status of the blueprint of that name, and nothing else of it. For members alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Forbidden`] when the key is no member's (the colony's
    /// owner is none); else as any call.
    pub async fn update_blueprint_status(
        &self,
        name: &str,
        status: &Map<String, Value>,
    ) -> Result<(), Error> {
        let call = UpdateBlueprintStatus { colonyname: &self.colony, blueprintname: name, status };
        self.call(&call).await.map(|_| ())
    }

    /// Has the server submit a process for the blueprint of that name; with `force`, one with that flag set, after
    /// the generation has grown by one. For members alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Invalid`] when its kind has no handler;
    /// [`Error::Forbidden`] when the key is no member's (the colony's owner is none); else as any call.
    pub async fn reconcile_blueprint(&self, name: &str, force: bool) -> Result<Process, Error> {
        self.call(&ReconcileBlueprint { namespace: &self.colony, name, force }).await
    }

    /// Reads what the blueprint of that id has been, the latest first; at most `limit`, else all.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such blueprint (any more); else as any call.
    pub async fn blueprint_history(
        &self,
        id: &str,
        limit: Option<NonZeroU32>,
    ) -> Result<Vec<BlueprintRevision>, Error> {
        let limit = limit.map_or(0, NonZeroU32::get);
        Ok(self.call(&GetBlueprintHistory { blueprintid: id, limit }).await?.0)
    }
}
