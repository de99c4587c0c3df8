//! Writes to the blueprints of a colony. The server overwrites what it is sent and has no precondition, so a blueprint is
//! read right before it is written, and one that has changed since the plan was made is left for the next plan.

use super::{
    failure::{ColonyWrite, is_gone_from_colony, is_name_taken_in_colony, of_colony, of_colony_write},
    outcome::{FailureKind, StepFailure},
};
use crate::{
    api::names::WRITTEN_SPEC_ANNOTATION,
    colony::{Blueprint, Error, Session},
    diff::ColonyStep,
    memory::{
        absences::{Absences, Absent},
        adds::{Added, Adds},
        blueprints::Blueprints,
    },
    runtime::clock::Clock,
};

/// Writes blueprints of one colony.
pub(super) struct BlueprintWriter<'a> {
    pub member: &'a Session,
    /// Name of the `Colony`.
    pub colony: &'a str,
    pub known: &'a Blueprints,
    pub adds: &'a Adds,
    pub absences: &'a Absences,
    pub clock: &'a Clock,
}

impl BlueprintWriter<'_> {
    /// Carries one step out; steps that are about something else are none of this.
    pub async fn execute(&self, step: &ColonyStep, what: &str) -> Result<(), StepFailure> {
        let failed = |error: Error| of_colony(what, &error);
        match step {
            ColonyStep::AddBlueprint(blueprint) => self.add(blueprint, what).await,
            ColonyStep::UpdateBlueprint { name, spec, hash, seen_generation } => {
                let mut blueprint = self.read(name, what).await?;
                if blueprint.metadata.generation != *seen_generation {
                    return Err(StepFailure {
                        kind: FailureKind::Conflict,
                        message: format!(
                            "failed to {what}: it is at generation {} by now",
                            blueprint.metadata.generation
                        ),
                    });
                }
                blueprint.spec.clone_from(spec);
                blueprint.metadata.annotations.insert(WRITTEN_SPEC_ANNOTATION.to_owned(), hash.clone());
                let written = self.member.update_blueprint(&blueprint, false).await.map_err(failed)?;
                self.known.put(self.colony, &written);
                Ok(())
            }
            ColonyStep::UpdateBlueprintStatus { name, status } => {
                self.member.update_blueprint_status(name, status).await.map_err(failed)?;
                self.known.put_status(self.colony, name, status);
                Ok(())
            }
            ColonyStep::RemoveBlueprint { name } => {
                let removed = self.member.remove_blueprint(name).await;
                of_colony_write(ColonyWrite::Remove, what, removed)?;
                self.known.remove(self.colony, name);
                self.settled(name);
                let absent = Absent::Blueprint(self.colony.to_owned(), name.clone());
                self.absences.expected(absent, self.clock.instant());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A name that is taken is looked at in the next pass: an earlier try may have been carried out and not answered.
    async fn add(&self, blueprint: &Blueprint, what: &str) -> Result<(), StepFailure> {
        let name = &blueprint.metadata.name;
        let Some(_turn) = self.known.turn_to_add(self.colony, &blueprint.kind) else {
            return Err(StepFailure {
                kind: FailureKind::Conflict,
                message: format!("failed to {what}: the first of its kind is being added"),
            });
        };
        self.adds.sent(self.blueprint(name), self.clock.instant());
        match self.member.add_blueprint(blueprint).await {
            Ok(added) => {
                self.known.added(self.colony, &added);
                self.settled(name);
                self.absences.present(&Absent::Blueprint(self.colony.to_owned(), name.clone()));
                Ok(())
            }
            Err(error) if is_name_taken_in_colony(&error) => {
                self.read(name, what).await?;
                Err(StepFailure {
                    kind: FailureKind::Conflict,
                    message: format!("failed to {what}: there is one by now"),
                })
            }
            Err(error) => Err(of_colony(what, &error)),
        }
    }

    fn blueprint(&self, name: &str) -> Added {
        Added::Blueprint(self.colony.to_owned(), name.to_owned())
    }

    fn settled(&self, name: &str) {
        self.adds.settled(self.blueprint(name), self.clock.instant());
    }

    async fn read(&self, name: &str, what: &str) -> Result<Blueprint, StepFailure> {
        match self.member.blueprint(name).await {
            Ok(blueprint) => {
                self.known.put(self.colony, &blueprint);
                Ok(blueprint)
            }
            Err(error) => {
                if is_gone_from_colony(&error) {
                    self.known.remove(self.colony, name);
                }
                Err(of_colony(what, &error))
            }
        }
    }
}
