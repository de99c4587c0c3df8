//! What the instances of a definition are made of, as far as the API server and the other definitions know.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{DefinitionReader, Right};
use crate::{
    api::{
        names::{COMPUTE_GROUP, EXECUTOR_DEPLOYMENT_KIND},
        resource_definition::{HandlerMode, ObjectKind, ResourceDefinition, ResourceName},
    },
    snapshot::ComposedKinds,
    watch::children::find,
};

/// What the operator does with parts of instances.
const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
/// Workloads that run executors.
const WORKLOADS: [(&str, &str); 3] = [("apps", "deployments"), ("apps", "daemonsets"), ("batch", "jobs")];

impl DefinitionReader {
    /// What instances are made of, and which rights the operator lacks for that.
    pub(super) async fn composes(&self, object: &ResourceDefinition) -> ComposedKinds {
        let mut composes = ComposedKinds::default();
        if object.spec.handler.mode != HandlerMode::Compose {
            return composes;
        }
        composes.adopts = object.spec.handler.adopts();
        let definitions = self.definitions.state();
        let own = definitions.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        let is_own = |kind: &ObjectKind| is_defined_by(kind, object);
        let direct = object.spec.handler.makes();
        let mut seen = BTreeSet::new();
        let mut left: Vec<(ObjectKind, Vec<String>)> =
            direct.iter().map(|kind| (kind.clone(), vec![object.spec.names.kind.clone()])).collect();
        let others: Vec<&ResourceDefinition> =
            own.filter(|other| other.metadata.name != object.metadata.name).collect();
        while let Some((kind, mut way)) = left.pop() {
            way.push(kind.kind.clone());
            if is_own(&kind) {
                composes.circle.get_or_insert_with(|| way.join(" → "));
                continue;
            }
            if !seen.insert(kind.clone()) {
                continue;
            }
            let is_direct = direct.contains(&kind);
            if let Some(other) = others.iter().find(|other| is_defined_by(&kind, other)) {
                composes.resources.insert(ResourceName {
                    group: other.spec.group.clone(),
                    resource: other.spec.names.plural.clone(),
                });
                if is_direct {
                    composes.defined.extend(schema(&kind, other).map(|schema| (kind.clone(), schema)));
                }
                composes.adopts |= other.spec.handler.adopts();
                left.extend(other.spec.handler.makes().into_iter().map(|made| (made, way.clone())));
            }
            self.discover_kind(&kind, is_direct, &mut composes).await;
        }
        if composes.trouble.is_none() {
            self.rights_for(object, &mut composes).await;
        }
        composes
    }

    /// Looks for a kind where the API server has it.
    async fn discover_kind(&self, kind: &ObjectKind, is_direct: bool, composes: &mut ComposedKinds) {
        if kind.group() == COMPUTE_GROUP && kind.kind == EXECUTOR_DEPLOYMENT_KIND {
            let name = |(group, resource): (&str, &str)| ResourceName {
                group: group.to_owned(),
                resource: resource.to_owned(),
            };
            composes.resources.extend(WORKLOADS.map(name));
        }
        match find(&self.client, kind).await {
            Ok(Some(resource)) => {
                composes.resources.insert(ResourceName { group: resource.group, resource: resource.plural });
            }
            Ok(None) if is_direct => drop(composes.unserved.insert(kind.clone())),
            Ok(None) => {}
            Err(why) => drop(composes.trouble.get_or_insert(why)),
        }
    }

    /// Which rights the operator lacks for the parts. Those of parts of parts are another definition's matter.
    async fn rights_for(&self, object: &ResourceDefinition, composes: &mut ComposedKinds) {
        let everywhere = [String::new()];
        let namespaces =
            if self.watched.is_empty() { everywhere.as_slice() } else { self.watched.as_slice() };
        for kind in object.spec.handler.makes() {
            let Ok(Some(found)) = find(&self.client, &kind).await else { continue };
            let what = format!("parts {}.{}", found.plural, found.group);
            let asked_at = self.clock.instant();
            if self.rights.are_granted(&what, asked_at) {
                continue;
            }
            let mut is_missing = false;
            for namespace in namespaces {
                for verb in VERBS {
                    let (group, resource) = (found.group.as_str(), found.plural.as_str());
                    match self.is_granted(&Right { group, resource, subresource: "", verb, namespace }).await
                    {
                        Ok(is_granted) => is_missing |= !is_granted,
                        Err(why) => {
                            composes.trouble = Some(why);
                            return;
                        }
                    }
                }
            }
            self.rights.note(&what, !is_missing, asked_at);
            if is_missing {
                composes.missing.insert(ResourceName { group: found.group, resource: found.plural });
            }
        }
    }
}

fn is_defined_by(kind: &ObjectKind, definition: &ResourceDefinition) -> bool {
    kind.group() == definition.spec.group && kind.kind == definition.spec.names.kind
}

/// The schema of a kind in the version in which a template names it.
fn schema(kind: &ObjectKind, definition: &ResourceDefinition) -> Option<Value> {
    let mut versions = definition.spec.versions.iter();
    let version = versions.find(|version| version.name == kind.version())?;
    Some(version.schema.open_api_v3_schema.clone())
}
