//! Reads the blueprint that mirrors an object.

use super::executor_deployment::Reader;
use crate::{
    api::{executor_deployment::ExecutorDeployment, names::EXECUTOR_DEPLOYMENT_KIND},
    colony::Blueprint,
    memory::connections::Connection,
    snapshot::{ColonyReference, Observed},
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
        let Some(colony) = colony.resolved() else { return Observed::Unknown("no Colony".to_owned()) };
        let known = self.blueprints.get(&colony.name, EXECUTOR_DEPLOYMENT_KIND, &name).flatten();
        cached_or_read(known, &name, connection).await
    }
}

/// A blueprint: as it is known, else asked for. Too much hangs on its absence to believe a list that may be old.
pub(super) async fn cached_or_read(
    known: Option<Blueprint>,
    name: &str,
    connection: Option<&Connection>,
) -> Observed<Option<Blueprint>> {
    let Some(connection) = connection else { return Observed::Unknown("not connected".to_owned()) };
    if let Some(problem) = &connection.problem {
        return Observed::Unknown(problem.clone());
    }
    if known.is_some() {
        return Observed::Known(known);
    }
    match connection.member.blueprint(name).await {
        Ok(blueprint) => Observed::Known(Some(blueprint)),
        Err(error) if error.is_not_found() => Observed::Known(None),
        Err(error) => Observed::Unknown(error.to_string()),
    }
}
