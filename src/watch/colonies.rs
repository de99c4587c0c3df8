//! Which colony an object may use, and the connection to it. Looks at caches only.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};

use crate::{
    api::{
        colony::{Colony, NamespacesFrom},
        mirror::{Mirrored, UsedColony},
        names::CONTROLLER_EXECUTOR_TYPE,
    },
    memory::connections::{Connection, Connections},
    snapshot::{ColonyAccess, ColonyReference, Observed, ResolvedColony},
};

/// What an object says of its colony.
#[derive(Clone, Copy, Debug, Default)]
pub struct ColonyClaim<'a> {
    /// The `Colony` that it, or its kind, names.
    pub wanted: Option<&'a str>,
    /// The colony in which it is, by its record.
    pub used: Option<&'a UsedColony>,
    /// Whether anything of it may be there now.
    pub is_there: bool,
    /// Whether it is being deleted: only what it was in matters.
    pub is_ending: bool,
    /// Whether nothing new is to be done: what is under way is followed and ended even where nothing new is admitted.
    pub needs_no_admission: bool,
}

impl<'a> ColonyClaim<'a> {
    /// The claim of an object that names, or whose kind names, the `Colony` `wanted`.
    pub fn of<K: Mirrored + Resource>(object: &'a K, wanted: Option<&'a str>) -> Self {
        Self {
            wanted,
            used: object.used_colony(),
            is_there: object.is_in_colony(),
            is_ending: object.meta().deletion_timestamp.is_some(),
            needs_no_admission: object.meta().deletion_timestamp.is_some(),
        }
    }

    /// As [`ColonyClaim::of`], for an object of which one process is carried out at a time: while that is bound, or is to be
    /// ended, nothing new is asked for.
    pub fn of_work<K: Mirrored + Resource>(object: &'a K, wanted: Option<&'a str>, is_to_end: bool) -> Self {
        let of_any = Self::of(object, wanted);
        let is_bound = object.mirror().is_some_and(|mirror| mirror.state.is_live());
        let needs_no_admission = of_any.needs_no_admission || is_bound || is_to_end;
        Self { needs_no_admission, ..of_any }
    }

    /// The colony with which the object stays. Where nothing is left, another that it names is as good.
    fn stays(&self) -> Option<&'a UsedColony> {
        let is_named = |used: &&UsedColony| self.wanted.is_none_or(|wanted| wanted == used.name);
        self.used.filter(|used| self.is_there || self.is_ending || is_named(used))
    }
}

/// Finds the colony of an object.
#[derive(Clone)]
pub struct Colonies {
    pub colonies: Store<Colony>,
    /// Metadata of namespaces.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    pub connections: Connections,
    /// The namespace of the operator itself.
    pub operator_namespace: String,
}

impl Colonies {
    /// The colony that an object of `namespace` uses: the one in which it is, else the one that it names, else the default
    /// one; and the connection to it.
    #[must_use]
    pub fn find(
        &self,
        claim: ColonyClaim<'_>,
        namespace: &str,
    ) -> (ColonyReference, Option<Arc<Connection>>) {
        let colony = match self.stays(&claim) {
            Err(changed) => return (changed, None),
            Ok(Some(colony)) => colony,
            Ok(None) => {
                let Some(colony) = self.named(claim.wanted) else {
                    return (ColonyReference::NotFound { name: claim.wanted.map(str::to_owned) }, None);
                };
                if colony.metadata.deletion_timestamp.is_some() && !claim.is_there && !claim.is_ending {
                    return (ColonyReference::Leaving { name: colony.name_any() }, None);
                }
                colony
            }
        };
        if !claim.needs_no_admission && !self.admits(&colony, namespace) {
            return (ColonyReference::NotAllowed { name: colony.name_any() }, None);
        }
        let (mut reference, connection) = self.resolve(&colony);
        if let ColonyReference::Resolved(resolved) = &mut reference {
            resolved.access = self.access(resolved, namespace);
            resolved.is_admitted = namespace.is_empty() || self.admits(&colony, namespace);
        }
        (reference, connection)
    }

    fn access(&self, colony: &ResolvedColony, namespace: &str) -> ColonyAccess {
        let inbound = (colony.name.as_str(), &colony.spec.inbound);
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        let labels = found.as_ref().map(|found| found.labels().clone()).unwrap_or_default();
        if !colony.spec.allowed_namespaces.admit(&labels) {
            let why = format!("Colony {} does not admit namespace {namespace}", colony.name);
            return ColonyAccess::Refused(why);
        }
        ColonyAccess::of(inbound, namespace, &labels, &self.operator_namespace)
    }

    /// As [`Colonies::find`], for what is in no namespace and asks for nothing there.
    #[must_use]
    pub fn find_any(&self, name: Option<&str>) -> (ColonyReference, Option<Arc<Connection>>) {
        match self.named(name) {
            Some(colony) => self.resolve(&colony),
            None => (ColonyReference::NotFound { name: name.map(str::to_owned) }, None),
        }
    }

    /// The `Colony` of the colony with which an object stays, if it stays with any; else what has become of that.
    fn stays(&self, claim: &ColonyClaim<'_>) -> Result<Option<Arc<Colony>>, ColonyReference> {
        let Some(used) = claim.stays() else { return Ok(None) };
        let found = self.colonies.get(&ObjectRef::new(&used.name));
        match found {
            Some(colony) if colony.spec.colony_name == used.colony_name => Ok(Some(colony)),
            _ if !claim.is_there && !claim.is_ending => Ok(None),
            found => {
                let now = found.map(|colony| colony.spec.colony_name.clone());
                Err(ColonyReference::Changed { used: used.clone(), now })
            }
        }
    }

    fn resolve(&self, colony: &Colony) -> (ColonyReference, Option<Arc<Connection>>) {
        let name = colony.name_any();
        let connection = self.connections.get(&name);
        let operator_executor_id = match &connection {
            None => Observed::Unknown("not connected yet".to_owned()),
            Some(connection) => match (&connection.problem, connection.operator(CONTROLLER_EXECUTOR_TYPE)) {
                (Some(problem), _) => Observed::Unknown(problem.clone()),
                (None, None) => Observed::Unknown("the operator is not registered there yet".to_owned()),
                (None, Some(operator)) => Observed::Known(operator.id.clone()),
            },
        };
        let uid = colony.uid().unwrap_or_default();
        let access = ColonyAccess::Refused("it is in no namespace".to_owned());
        let was_connected = colony.status.as_ref().is_some_and(|status| status.member.is_some());
        let spec = colony.spec.clone();
        let is_admitted = true;
        let resolved =
            ResolvedColony { name, uid, was_connected, spec, is_admitted, access, operator_executor_id };
        (ColonyReference::Resolved(Box::new(resolved)), connection)
    }

    fn named(&self, name: Option<&str>) -> Option<Arc<Colony>> {
        if let Some(name) = name {
            return self.colonies.get(&ObjectRef::new(name));
        }
        let defaults = self.colonies.state_filter(Colony::is_default);
        defaults.into_iter().min_by_key(|colony| colony.rank())
    }

    fn admits(&self, colony: &Colony, namespace: &str) -> bool {
        let allowed = &colony.spec.allowed_namespaces;
        if allowed.from == NamespacesFrom::All {
            return true;
        }
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.is_some_and(|found| allowed.admit(found.labels()))
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::{
        reflector::{self, store::Writer},
        watcher::Event,
    };
    use serde_json::json;

    use super::*;

    /// `Colonies` of these names, colonies and defaults, the first the oldest.
    fn colonies(all: &[(&str, &str, bool)]) -> Colonies {
        let (store, mut writer): (_, Writer<Colony>) = reflector::store();
        for (position, (name, colony, is_default)) in all.iter().enumerate() {
            let colony = json!({
                "metadata": {
                    "name": name, "uid": format!("uid-{name}"),
                    "annotations": { "colonies.io/default": is_default.to_string() },
                    "creationTimestamp": format!("2026-11-21T09:0{position}:00Z"),
                },
                "spec": {
                    "server": { "host": "h" }, "colonyName": colony, "credentialsSecretName": "s",
                    "allowedNamespaces": { "from": "Selector", "selector": { "matchLabels": { "may": "yes" } } },
                },
            });
            writer.apply_watcher_event(&Event::Apply(serde_json::from_value(colony).unwrap()));
        }
        let (namespaces, mut writer) = reflector::store();
        for (name, may) in [("in", "yes"), ("out", "no")] {
            let namespace = json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": { "name": name, "labels": { "may": may } },
            });
            let namespace: PartialObjectMeta<Namespace> = serde_json::from_value(namespace).unwrap();
            writer.apply_watcher_event(&Event::Apply(namespace));
        }
        Colonies {
            colonies: store,
            namespaces,
            connections: Connections::default(),
            operator_namespace: "colonyos-system".to_owned(),
        }
    }

    fn found(colonies: &Colonies, claim: ColonyClaim<'_>, namespace: &str) -> String {
        match colonies.find(claim, namespace).0 {
            ColonyReference::Resolved(colony) => colony.name.clone(),
            other => other.obstacle().unwrap().0.as_str().to_owned(),
        }
    }

    fn used(name: &str, colony: &str) -> UsedColony {
        UsedColony { name: name.to_owned(), uid: format!("uid-{name}"), colony_name: colony.to_owned() }
    }

    /// The README's Colony, copied under a name that sorts before the first one, took over whatever named none.
    #[test]
    fn a_second_default_takes_nothing_over() {
        let both = colonies(&[("prod", "prod", true), ("a-copy", "other", true)]);
        assert_eq!(found(&both, ColonyClaim::default(), "in"), "prod");
        let moved = colonies(&[("prod", "prod", false), ("a-copy", "other", true)]);
        assert_eq!(found(&moved, ColonyClaim::default(), "in"), "a-copy");
    }

    #[test]
    fn an_object_stays_in_the_colony_of_its_record() {
        let prod = used("prod", "prod");
        let there = ColonyClaim { used: Some(&prod), is_there: true, ..ColonyClaim::default() };
        let left = ColonyClaim { is_there: false, ..there };
        let moved = colonies(&[("prod", "prod", false), ("other", "other", true)]);
        assert_eq!(found(&moved, there, "in"), "prod");
        assert_eq!(found(&moved, left, "in"), "prod");
        let named = ColonyClaim { wanted: Some("other"), ..there };
        assert_eq!(found(&moved, named, "in"), "prod");
        assert_eq!(found(&moved, ColonyClaim { is_there: false, ..named }, "in"), "other");
        // Gone, or leading elsewhere: nothing is known of what is there.
        let gone = colonies(&[("other", "other", true)]);
        assert_eq!(found(&gone, there, "in"), "ColonyNotFound");
        assert_eq!(found(&gone, left, "in"), "other", "nothing of it is anywhere");
        let ending = ColonyClaim { is_ending: true, ..left };
        assert_eq!(found(&gone, ending, "in"), "ColonyNotFound", "a clean-up belongs where the work was");
        let elsewhere = colonies(&[("prod", "another", true)]);
        assert_eq!(found(&elsewhere, there, "in"), "ColonyChanged");
    }

    /// A namespace whose label was removed held whatever was deleted in it.
    #[test]
    fn ending_work_needs_no_admission() {
        let colonies = colonies(&[("prod", "prod", true)]);
        let prod = used("prod", "prod");
        let there = ColonyClaim { used: Some(&prod), is_there: true, ..ColonyClaim::default() };
        assert_eq!(found(&colonies, there, "out"), "NamespaceNotAllowed");
        assert_eq!(found(&colonies, ColonyClaim { needs_no_admission: true, ..there }, "out"), "prod");
    }
}
