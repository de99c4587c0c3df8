//! Reads the blueprint that mirrors an object.

use super::{executor_deployment::Reader, mirror::ProcessReader, work::explained};
use crate::{
    api::{
        executor_deployment::{BlueprintStatus, ExecutorDeployment, Runtime},
        names::EXECUTOR_DEPLOYMENT_KIND,
    },
    colony::Blueprint,
    memory::{absences::Absent, connections::Connection},
    snapshot::{Carrier, ColonyReference, Observed},
};

impl Reader {
    /// The blueprint of an object, where there is to be one: as the colony last described it, else asked for.
    pub(super) async fn blueprint(
        &self,
        object: &ExecutorDeployment,
        colony: &ColonyReference,
        connection: Option<&Connection>,
    ) -> Observed<Option<Blueprint>> {
        let Some(name) = object.blueprint_name() else { return Observed::Known(None) };
        let Some(colony) = colony.resolved() else {
            return explained(Observed::Unknown("no Colony".to_owned()), colony);
        };
        let known = self.blueprints.get(&colony.name, EXECUTOR_DEPLOYMENT_KIND, &name).flatten();
        let recorded = object.status.as_ref().and_then(|status| status.blueprint.as_ref());
        let is_ending = object.metadata.deletion_timestamp.is_some();
        self.processes.blueprint(known, (&colony.name, &name), recorded, is_ending, connection).await
    }

    /// Who carries out an object of another runtime. Definitions are asked for only where it is not the usual reconciler.
    pub(super) async fn carrier(
        &self,
        object: &ExecutorDeployment,
        colony: &ColonyReference,
        connection: Option<&Connection>,
    ) -> Carrier {
        let (runtime, workforce) =
            (object.spec.runtime, connection.and_then(|found| found.workforce.as_ref()));
        let (Some(colony), Some(connection), Some(workforce)) = (colony.resolved(), connection, workforce)
        else {
            return Carrier::Unknown;
        };
        if runtime == Runtime::Kubernetes || connection.problem.is_some() {
            return Carrier::Unknown;
        }
        let location = object.spec.location_in(colony.spec.location.as_deref());
        if Carrier::find(runtime, location, workforce, &[]) == Carrier::Present {
            return Carrier::Present;
        }
        match connection.member.blueprint_definitions().await {
            Ok(definitions) => Carrier::find(runtime, location, workforce, &definitions),
            Err(_) => Carrier::Unknown,
        }
    }
}

impl ProcessReader {
    /// A blueprint of that name in a `Colony`: as it is known, else asked for. Too much hangs on its absence to believe a list
    /// that may be old, or a single answer about one that was there.
    pub(super) async fn blueprint(
        &self,
        known: Option<Blueprint>,
        (colony, name): (&str, &str),
        recorded: Option<&BlueprintStatus>,
        is_ending: bool,
        connection: Option<&Connection>,
    ) -> Observed<Option<Blueprint>> {
        let Some(connection) = connection else { return Observed::Unknown("not connected".to_owned()) };
        if let Some(problem) = &connection.problem {
            return Observed::Unknown(problem.clone());
        }
        let (absent, now) = (Absent::Blueprint(colony.to_owned(), name.to_owned()), self.clock.instant());
        if known.is_some() {
            self.absences.present(&absent);
            return Observed::Known(known);
        }
        match connection.member.blueprint(name).await {
            Ok(blueprint) => {
                self.absences.present(&absent);
                Observed::Known(Some(blueprint))
            }
            Err(error) if error.is_not_found() => {
                // What is on record may have been added without an answer; the end of the object must not miss it.
                let may_be_there = recorded.is_some_and(|recorded| is_ending || !recorded.agreed.is_empty());
                if !may_be_there || self.absences.seen(absent, now) {
                    return Observed::Known(None);
                }
                let why = "the server reports none, and is asked once more before that is believed";
                Observed::Unknown(why.to_owned())
            }
            Err(error) => Observed::Unknown(error.to_string()),
        }
    }
}
