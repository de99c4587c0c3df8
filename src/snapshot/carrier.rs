//! Who carries out a fleet of another runtime. Pure.

use super::Workforce;
use crate::{
    api::{
        executor_deployment::Runtime,
        names::{CONTROLLER_EXECUTOR_TYPE, EXECUTOR_DEPLOYMENT_KIND, RECONCILER_EXECUTOR_TYPE},
    },
    colony::model::BlueprintDefinition,
};

/// Who carries out a fleet of another runtime, as far as the colony could be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// This cluster does, or it is not known.
    #[default]
    Unknown,
    /// A reconciler is there.
    Present,
    /// There is none.
    Missing {
        /// The executor type that one would have.
        handler: String,
        /// Where it would have to be; none when neither the object nor its Colony has a location.
        location: Option<String>,
    },
}

impl Carrier {
    /// The executor type of our own reconciler of a runtime.
    #[must_use]
    pub fn usual(runtime: Runtime) -> String {
        format!("{}-reconciler", runtime.as_str())
    }

    /// Finds out from the executors of the colony. `definitions` say which types answer for blueprints of fleets, besides the usual one.
    #[must_use]
    pub fn find(
        runtime: Runtime,
        location: Option<&str>,
        workforce: &Workforce,
        definitions: &[BlueprintDefinition],
    ) -> Self {
        let usual = Self::usual(runtime);
        let handler = handler(definitions).unwrap_or(&usual);
        let is_there =
            |location: &str| [&usual, handler].into_iter().any(|one| workforce.is_served(one, location));
        if location.is_some_and(is_there) {
            return Self::Present;
        }
        Self::Missing { handler: handler.to_owned(), location: location.map(str::to_owned) }
    }
}

/// The type that answers for the kind, unless it is the operator's: of several definitions, the first by name, as the server has it.
fn handler(definitions: &[BlueprintDefinition]) -> Option<&str> {
    let of_kind = definitions.iter().filter(|found| found.spec.names.kind == EXECUTOR_DEPLOYMENT_KIND);
    let first = of_kind.min_by(|one, other| one.metadata.name.cmp(&other.metadata.name))?;
    let handler = first.spec.handler.executor_type.as_str();
    let is_own = [CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE].contains(&handler);
    (!is_own && !handler.is_empty()).then_some(handler)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::colony::{Executor, PrivateKey};

    fn workforce(executor_type: &str, location: &str) -> Workforce {
        let executor = json!({
            "executorid": PrivateKey::generate().unwrap().id().to_string(), "executorname": "e", "executortype": executor_type,
            "colonyname": "dev", "state": 1, "locationname": location,
            "commissiontime": "2026-11-21T09:58:00Z", "lastheardfromtime": "2026-11-21T09:58:00Z",
        });
        let executor: Executor = serde_json::from_value(executor).unwrap();
        Workforce::new(&[executor], false, None)
    }

    fn definition(handler: &str) -> BlueprintDefinition {
        BlueprintDefinition::new("dev", "executor-deployment", EXECUTOR_DEPLOYMENT_KIND, handler, "reconcile")
            .unwrap()
    }

    #[test]
    fn the_usual_type_or_the_handler_serves_at_the_location() {
        let find = |has: &str, handler: &str| {
            Carrier::find(Runtime::Docker, Some("edge"), &workforce(has, "edge"), &[definition(handler)])
        };
        assert_eq!(find("docker-reconciler", RECONCILER_EXECUTOR_TYPE), Carrier::Present);
        assert_eq!(find("own", "own"), Carrier::Present);
        let missing =
            |handler: &str| Carrier::Missing { handler: handler.into(), location: Some("edge".into()) };
        assert_eq!(find("local-reconciler", RECONCILER_EXECUTOR_TYPE), missing("docker-reconciler"));
        assert_eq!(find("other", "own"), missing("own"));
        let elsewhere = workforce("docker-reconciler", "moon");
        assert_eq!(
            Carrier::find(Runtime::Docker, Some("edge"), &elsewhere, &[]),
            missing("docker-reconciler")
        );
        let nowhere = Carrier::find(Runtime::Docker, None, &elsewhere, &[]);
        assert_eq!(nowhere, Carrier::Missing { handler: "docker-reconciler".into(), location: None });
    }
}
