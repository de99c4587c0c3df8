//! What to do so that all objects of a kind are stored in the version of now. It needs no valid spec: what is stored
//! follows from the CRD as it is. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::super::{KubernetesStep, Step};
use crate::{
    api::{
        instance::{AcceptedHandler, InstanceKind},
        resource_definition::{NextOfMigration, StoredObject, next_of_migration, stored_version},
    },
    kinds::definition::{is_established, is_foreign, lacks_rights},
    snapshot::{DefinitionSnapshot, StoredObjects, StoredPage},
};

/// What to do so that all objects of a kind are stored in the version of now.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Migration {
    /// Nothing: they are, or their kind is unknown.
    #[default]
    Nothing,
    /// To wait until every API server knows the version.
    Wait,
    /// The operator may not write those of other namespaces; the rights that it lacks.
    OutOfReach(Vec<String>),
    /// They could not be listed; why.
    Unread(String),
    /// To write these again.
    Rewrite(Rewrite),
    /// Updates `status.storedVersions`, once all objects are stored in the version: the CRD with its status.
    Conclude(Box<CustomResourceDefinition>),
}

/// Objects that are to be written again, without a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewrite {
    /// Their kind, in the version of now.
    pub kind: InstanceKind,
    pub objects: Vec<StoredObject>,
    /// The part of the list that they are; none if they are those that could not be written before.
    pub part: Option<ListPart>,
}

/// Where a part of a list stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPart {
    /// Whether the list begins with it.
    pub is_first: bool,
    /// Where the list continues; absent at its end.
    pub next: Option<String>,
    /// How many objects follow, as the API server estimates.
    pub remaining: i32,
}

/// Plans the next part of the migration.
#[must_use]
pub fn plan_migration(snapshot: &DefinitionSnapshot) -> Migration {
    let found = snapshot.crd.known().and_then(Option::as_ref);
    let is_going = snapshot.object.metadata.deletion_timestamp.is_some() || lacks_rights(snapshot);
    let ours = found.filter(|found| {
        found.metadata.deletion_timestamp.is_none() && is_established(found) && !is_foreign(snapshot, found)
    });
    let Some(found) = ours.filter(|_| !is_going) else { return Migration::Nothing };
    let Some(kind) = InstanceKind::of(found, AcceptedHandler::default(), false) else {
        return Migration::Nothing;
    };
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.storage_migration.as_ref());
    match (next_of_migration(found, recorded, snapshot.now), &snapshot.stored) {
        (NextOfMigration::Nothing, _) => Migration::Nothing,
        (_, StoredObjects::OutOfReach(missing)) => Migration::OutOfReach(missing.clone()),
        (_, StoredObjects::Unknown(why)) => Migration::Unread(why.clone()),
        (NextOfMigration::Beginning | NextOfMigration::Settling, _)
        | (NextOfMigration::Page(_), StoredObjects::NotAsked) => Migration::Wait,
        (NextOfMigration::Page(_), StoredObjects::Page(page)) => {
            let StoredPage { objects, is_first, next, remaining } = page.clone();
            let part = Some(ListPart { is_first, next, remaining });
            Migration::Rewrite(Rewrite { kind, objects, part })
        }
        // Those that could not be written before: not with every pass.
        (NextOfMigration::Failed(_), _) if !snapshot.may_retry_stored => Migration::Wait,
        (NextOfMigration::Failed(failures), _) => {
            let objects = failures.iter().map(|failure| StoredObject {
                namespace: failure.namespace.clone(),
                name: failure.name.clone(),
                // Whatever it is by now: nothing of it changes.
                seen: None,
            });
            Migration::Rewrite(Rewrite { kind, objects: objects.collect(), part: None })
        }
        (NextOfMigration::Conclusion, _) => Migration::Conclude(Box::new(concluded(found))),
    }
}

/// A CRD whose status has only the current storage version. Its version is the one that was seen, so that the API
/// server refuses it if the CRD has changed.
fn concluded(found: &CustomResourceDefinition) -> CustomResourceDefinition {
    let mut crd = found.clone();
    crd.metadata.managed_fields = None;
    let stored = stored_version(found).map(str::to_owned);
    crd.status.get_or_insert_default().stored_versions = Some(stored.into_iter().collect());
    crd
}

impl Migration {
    /// The writes.
    pub(super) fn steps(&self) -> Vec<Step> {
        match self {
            Self::Nothing | Self::Wait | Self::OutOfReach(_) | Self::Unread(_) => Vec::new(),
            Self::Rewrite(Rewrite { kind, objects, .. }) => {
                let rewrite = |object: &StoredObject| {
                    let (kind, object) = (kind.clone(), object.clone());
                    Step::Kubernetes(KubernetesStep::Rewrite { kind, object })
                };
                objects.iter().map(rewrite).collect()
            }
            Self::Conclude(crd) => vec![Step::Kubernetes(KubernetesStep::ConcludeMigration(crd.clone()))],
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::{
        super::tests::{converting, served, snapshot},
        *,
    };
    use crate::{
        api::resource_definition::{BrokenInstance, ResourceDefinitionStatus, StorageMigration},
        kinds::definition::build,
        snapshot::Observed,
    };

    /// A kind that is stored in `v2` now, with objects that may be in `v1` still, and what is on record.
    fn world(recorded: Option<StorageMigration>) -> DefinitionSnapshot {
        let mut world = snapshot(None, "Delete", (0, 0));
        world.object = converting();
        let mut crd = build(&world.object).unwrap();
        crd.metadata.generation = Some(2);
        crd.metadata.resource_version = Some("7".to_owned());
        crd.status = served().status;
        crd.status.get_or_insert_default().stored_versions = Some(vec!["v1".to_owned(), "v2".to_owned()]);
        world.crd = Observed::Known(Some(crd));
        let status =
            ResourceDefinitionStatus { storage_migration: recorded, ..ResourceDefinitionStatus::default() };
        world.object.status = Some(status);
        world
    }

    fn begun() -> StorageMigration {
        let began_at = Time("2026-11-26T09:59:00Z".parse().unwrap());
        StorageMigration::begin("v2".to_owned(), 2, began_at)
    }

    fn page() -> StoredPage {
        let object = StoredObject { namespace: Some("ml".to_owned()), name: "a".to_owned(), seen: None };
        StoredPage { objects: vec![object], is_first: true, next: Some("t".to_owned()), remaining: 4 }
    }

    #[test]
    fn objects_are_written_page_by_page_and_then_the_versions_are_told() {
        assert_eq!(plan_migration(&world(None)), Migration::Wait, "it is recorded first");
        let mut now = world(Some(begun()));
        now.stored = StoredObjects::Page(page());
        let Migration::Rewrite(rewrite) = plan_migration(&now) else { panic!("{now:?}") };
        assert_eq!(rewrite.kind.terms().resource.api_version, "g.example.com/v2");
        assert_eq!(rewrite.objects, page().objects);
        let part = ListPart { is_first: true, next: Some("t".to_owned()), remaining: 4 };
        assert_eq!(rewrite.part, Some(part));

        let listed = StorageMigration { listed: true, migrated: 5, ..begun() };
        let Migration::Conclude(crd) = plan_migration(&world(Some(listed))) else { panic!("not concluded") };
        assert_eq!(crd.status.unwrap().stored_versions, Some(vec!["v2".to_owned()]));
        assert_eq!(crd.metadata.resource_version.as_deref(), Some("7"), "of the CRD that was seen");
    }

    /// One that cannot be written keeps the old version in the list, and the others from nothing.
    #[test]
    fn what_failed_is_tried_again_before_anything_is_told() {
        let failure = BrokenInstance { name: "odd".to_owned(), ..BrokenInstance::default() };
        let recorded = StorageMigration { listed: true, failed: 1, failures: vec![failure], ..begun() };
        let Migration::Rewrite(rewrite) = plan_migration(&world(Some(recorded))) else { panic!("no retry") };
        assert_eq!((rewrite.objects[0].name.as_str(), rewrite.part), ("odd", None));
    }

    #[test]
    fn nothing_is_written_for_what_is_not_known_or_not_ours() {
        let ready = || {
            let mut ready = world(Some(begun()));
            ready.stored = StoredObjects::Page(page());
            ready
        };
        let none = |world: &DefinitionSnapshot| assert_eq!(plan_migration(world), Migration::Nothing);
        let mut other = ready();
        other.object.metadata.deletion_timestamp = Some(Time(other.now));
        none(&other);
        let mut other = ready();
        other.missing_rights = Observed::Known(vec!["patch things".to_owned()]);
        none(&other);
        let mut other = ready();
        let Observed::Known(Some(crd)) = &mut other.crd else { panic!("no CRD") };
        crd.metadata.annotations = None;
        none(&other);
        let mut other = ready();
        other.crd = Observed::Unknown("away".to_owned());
        none(&other);
        let mut other = ready();
        other.stored = StoredObjects::Unknown("away".to_owned());
        assert_eq!(plan_migration(&other), Migration::Unread("away".to_owned()));
        other.stored = StoredObjects::OutOfReach(vec!["list things".to_owned()]);
        assert_eq!(plan_migration(&other), Migration::OutOfReach(vec!["list things".to_owned()]));
        // All objects are stored in the version: whatever is on record, there is nothing to do.
        let mut other = ready();
        let Observed::Known(Some(crd)) = &mut other.crd else { panic!("no CRD") };
        crd.status.get_or_insert_default().stored_versions = Some(vec!["v2".to_owned()]);
        none(&other);
    }
}
