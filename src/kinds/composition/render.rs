//! From a composition, an instance and what there is of it to what there should be.
//!
//! Resources are gone through in their order. Each is bound, for those that refer to it, to what the cluster has: what is
//! not there yet is an empty object, and what speaks of its fields waits.

mod ends;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Value, json};

use super::{
    BUDGET, Composition, CompositionError, Desired, DesiredChild, DesiredResource, Instance, MAX_BYTES,
    MAX_OBJECTS, Policies, Readiness, Resource, SCHEMA, SELF, Wanted, child::child, finished, readiness,
};
use crate::{
    api::resource_definition::ObjectKind,
    expression::{Budget, ExpressionError, References, Variables},
    snapshot::Children,
};

struct Done {
    desired: DesiredResource,
    /// What those that refer to it see.
    seen: Value,
    /// It is not wanted, nor is what refers to it.
    is_excluded: bool,
    /// What there is of it could not be read, or which objects it has is not known.
    is_unknown: bool,
    /// Some of its objects are gone after they have ended, and not all that they had is remembered.
    is_partial: bool,
}

/// The values of the variables of `forEach` for one object.
type Item = BTreeMap<String, Value>;

struct Renderer<'r> {
    composition: &'r Composition,
    instance: &'r Instance,
    children: &'r Children,
    kinds_with_readiness: &'r BTreeSet<ObjectKind>,
    budget: Budget,
    names: BTreeMap<(ObjectKind, String), String>,
    bytes: usize,
}

pub(super) fn render(
    composition: &Composition,
    instance: &Instance,
    children: &Children,
    kinds_with_readiness: &BTreeSet<ObjectKind>,
) -> Result<Desired, CompositionError> {
    let mut renderer = Renderer {
        composition,
        instance,
        children,
        kinds_with_readiness,
        budget: Budget::new(BUDGET),
        names: BTreeMap::new(),
        bytes: 0,
    };
    let mut done: Vec<Done> = Vec::with_capacity(composition.resources.len());
    for resource in &composition.resources {
        let next = renderer.resource(resource, &done)?;
        done.push(next);
    }
    renderer.ends(done)
}

impl<'r> Renderer<'r> {
    fn resource(&mut self, resource: &'r Resource, done: &[Done]) -> Result<Done, CompositionError> {
        let policies = resource.policies.of(self.instance)?;
        if !self.is_included(resource)? || resource.depends_on.iter().any(|place| done[*place].is_excluded) {
            return Ok(Self::excluded(resource));
        }
        let unread = self.children.get(&resource.kind).and_then(|found| found.unknown());
        let waits = resource.depends_on.iter().find_map(|place| {
            let other = &done[*place];
            other.is_unknown.then(|| format!("{} to be known", other.desired.id))
        });
        let objects = match waits {
            Some(why) => Err(why),
            None => self.objects(resource, done)?,
        };
        let (items, objects) = match objects {
            Ok(objects) => objects,
            Err(why) => return Ok(Self::unknown(resource, &why)),
        };
        let held_back = resource.depends_on.iter().find_map(|place| not_ready(&done[*place].desired));
        let found: Vec<Option<Cow<'r, Value>>> =
            objects.iter().map(|object| self.found(object, &policies)).collect();
        let readiness = match unread {
            Some(why) => Readiness::Waiting(format!("{} cannot be read: {why}", resource.kind)),
            None => self.readiness(resource, &items, &objects, &found)?,
        };
        let mut gone = objects.iter().zip(&found).filter(|(_, found)| matches!(found, Some(Cow::Owned(_))));
        let is_partial =
            gone.any(|(object, _)| self.instance.finished_part(object).is_some_and(|part| part.is_abridged));
        let seen = found.into_iter().map(|found| found.map_or_else(|| json!({}), Cow::into_owned));
        let seen = if resource.for_each.is_empty() {
            seen.into_iter().next().unwrap_or_else(|| json!({}))
        } else {
            Value::Array(seen.collect())
        };
        let desired = DesiredResource {
            id: resource.id.clone(),
            kind: resource.kind.clone(),
            wanted: Wanted::Objects(objects),
            held_back,
            readiness,
            policies,
        };
        Ok(Done { desired, seen, is_excluded: false, is_unknown: unread.is_some(), is_partial })
    }

    fn is_included(&mut self, resource: &'r Resource) -> Result<bool, CompositionError> {
        let variables = self.instance_variables();
        for condition in &resource.include_when {
            if !condition.holds_with(&variables, &mut self.budget).map_err(CompositionError::Expression)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn instance_variables(&self) -> Variables<'r> {
        let mut variables = Variables::default();
        variables.bind(SELF, &self.instance.value);
        variables.bind(SCHEMA, &self.instance.value);
        variables
    }

    /// The instance, and the resources to which expressions refer.
    fn about<'d>(&self, references: &[&References], done: &'d [Done]) -> Variables<'d>
    where
        'r: 'd,
    {
        let mut variables: Variables<'d> = self.instance_variables();
        for other in done {
            let id = other.desired.id.as_str();
            if references.iter().any(|references| references.variables().any(|name| name == id)) {
                variables.observe(id, &other.seen);
            }
        }
        variables
    }

    fn excluded(resource: &Resource) -> Done {
        let seen = if resource.for_each.is_empty() { json!({}) } else { json!([]) };
        let desired = DesiredResource {
            id: resource.id.clone(),
            kind: resource.kind.clone(),
            wanted: Wanted::Objects(Vec::new()),
            held_back: None,
            readiness: Readiness::Ready,
            policies: resource.policies.clone(),
        };
        Done { desired, seen, is_excluded: true, is_unknown: false, is_partial: false }
    }

    fn unknown(resource: &Resource, why: &str) -> Done {
        let seen = if resource.for_each.is_empty() { json!({}) } else { json!([]) };
        let desired = DesiredResource {
            id: resource.id.clone(),
            kind: resource.kind.clone(),
            wanted: Wanted::Unknown(why.to_owned()),
            held_back: None,
            readiness: Readiness::Waiting(format!("it waits for {why}")),
            policies: resource.policies.clone(),
        };
        Done { desired, seen, is_excluded: false, is_unknown: true, is_partial: false }
    }

    /// The objects of a resource, with the variables each was made with; or what is waited for.
    #[expect(clippy::type_complexity, reason = "two ways not to have them: not yet, and never")]
    fn objects(
        &mut self,
        resource: &'r Resource,
        done: &[Done],
    ) -> Result<Result<(Vec<Item>, Vec<DesiredChild>), String>, CompositionError> {
        let items = match self.items(resource, done)? {
            Ok(items) => items,
            Err(why) => return Ok(Err(why)),
        };
        if self.names.len() + items.len() > MAX_OBJECTS {
            return Err(CompositionError::invalid(
                format!("{}, for {}", resource.field, self.instance.name),
                format!("{} objects and more", self.names.len() + items.len()),
                format!("reduce them: an instance may have {MAX_OBJECTS}"),
            ));
        }
        let mut objects = Vec::with_capacity(items.len());
        for item in &items {
            let mut variables = self.about(&[resource.template.references()], done);
            for (name, value) in item {
                variables.bind(name, value);
            }
            let rendered = match resource.template.render_with(&variables, &mut self.budget) {
                Ok(rendered) => rendered,
                Err(error) if error.is_absent => return Ok(Err(yet(&error))),
                Err(error) => return Err(CompositionError::Expression(error)),
            };
            objects.push(self.child(resource, item, rendered)?);
        }
        Ok(Ok((items, objects)))
    }

    fn child(
        &mut self,
        resource: &Resource,
        item: &Item,
        rendered: Value,
    ) -> Result<DesiredChild, CompositionError> {
        let (child, size) = child(resource, self.instance, rendered)?;
        self.bytes += size;
        if self.bytes > MAX_BYTES {
            return Err(CompositionError::invalid(
                format!("{}, for {}", resource.field, self.instance.name),
                format!("{} bytes and more", self.bytes),
                format!("reduce them: all objects of an instance may have {MAX_BYTES} bytes"),
            ));
        }
        let who =
            match item.iter().map(|(name, value)| format!("{name} = {}", short(value))).collect::<Vec<_>>() {
                item if item.is_empty() => resource.id.clone(),
                item => format!("{} with {}", resource.id, item.join(", ")),
            };
        let key = (child.kind.clone(), child.name.clone());
        if let Some(other) = self.names.insert(key, who.clone()) {
            return Err(CompositionError::invalid(
                format!("{}.metadata.name", resource.field),
                format!("{} {}", child.kind.kind, child.name),
                format!("is the name of two objects, {other} and {who}: give each a name of its own"),
            ));
        }
        Ok(child)
    }

    /// The variables of each object of a resource: one without any, if it has no `forEach`.
    fn items(
        &mut self,
        resource: &'r Resource,
        done: &[Done],
    ) -> Result<Result<Vec<Item>, String>, CompositionError> {
        let mut items = vec![Item::new()];
        for (name, list) in &resource.for_each {
            let variables = self.about(&[list.references()], done);
            let values = match list.render_with(&variables, &mut self.budget) {
                Ok(Value::Array(values)) => values,
                Ok(other) => {
                    return Err(CompositionError::invalid(
                        format!("{}.forEach.{name}", resource.field.trim_end_matches(".template")),
                        short(&other),
                        "let it give a list",
                    ));
                }
                Err(error) if error.is_absent => return Ok(Err(yet(&error))),
                Err(error) => return Err(CompositionError::Expression(error)),
            };
            // Checked before they are multiplied: the product of what is allowed need not be.
            if items.len().saturating_mul(values.len()) > MAX_OBJECTS {
                return Err(CompositionError::invalid(
                    format!("{}.forEach", resource.field.trim_end_matches(".template")),
                    format!("{} objects", items.len().saturating_mul(values.len())),
                    format!("reduce them: an instance may have {MAX_OBJECTS}"),
                ));
            }
            let with = |item: &Item, value: &Value| {
                let mut item = item.clone();
                item.insert(name.clone(), value.clone());
                item
            };
            items = items.iter().flat_map(|item| values.iter().map(move |value| with(item, value))).collect();
        }
        Ok(Ok(items))
    }

    /// The actual object for a desired one; of any owner, if it is only observed. One that has ended and is gone is as it
    /// was last seen.
    fn found(&self, wanted: &DesiredChild, policies: &Policies) -> Option<Cow<'r, Value>> {
        let found = self.children.get(&wanted.kind)?.known()?.iter().find(|object| {
            object.pointer("/metadata/name").and_then(Value::as_str) == Some(&wanted.name)
                && (policies.only_observes() || self.instance.owns(object))
        });
        let finished = || self.instance.finished_part(wanted).map(|part| finished::remembered(part, wanted));
        match found {
            Some(found) if !is_terminating(found) || policies.only_observes() => Some(Cow::Borrowed(found)),
            Some(found) => finished().or(Some(Cow::Borrowed(found))),
            None if policies.only_observes() => None,
            None => finished(),
        }
    }

    fn readiness(
        &mut self,
        resource: &'r Resource,
        items: &[Item],
        objects: &[DesiredChild],
        found: &[Option<Cow<'r, Value>>],
    ) -> Result<Readiness, CompositionError> {
        let (mut ready, mut worst) = (0, Readiness::Ready);
        for ((item, object), found) in items.iter().zip(objects).zip(found) {
            let readiness = match found {
                None => Readiness::Waiting(format!("{} {} is not there", object.kind.kind, object.name)),
                Some(Cow::Owned(remembered)) => match self.instance.finished_part(object) {
                    Some(part) if part.is_abridged && resource.ready_when.is_empty() => {
                        finished::readiness(part)
                    }
                    _ => self.readiness_of(resource, item, remembered)?,
                },
                Some(found) => self.readiness_of(resource, item, found)?,
            };
            match (&worst, readiness) {
                (_, Readiness::Ready) => ready += 1,
                (Readiness::Ready, other) | (Readiness::Waiting(_), other @ Readiness::Failed(_)) => {
                    worst = other;
                }
                _ => {}
            }
        }
        // Progress of several objects is their count.
        let of_all = |why: String| match objects.len() {
            1 => why,
            all => format!("{ready} of {all} are ready; {why}"),
        };
        Ok(match worst {
            Readiness::Ready => Readiness::Ready,
            Readiness::Waiting(why) => Readiness::Waiting(of_all(why)),
            Readiness::Failed(why) => Readiness::Failed(of_all(why)),
        })
    }

    fn readiness_of(
        &mut self,
        resource: &'r Resource,
        item: &Item,
        found: &Value,
    ) -> Result<Readiness, CompositionError> {
        if is_terminating(found) {
            return Ok(Readiness::Waiting("it is being deleted".to_owned()));
        }
        if resource.ready_when.is_empty() {
            return Ok(readiness::usual(
                &resource.kind,
                found,
                self.kinds_with_readiness.contains(&resource.kind),
            ));
        }
        let mut variables: Variables<'_> = self.instance_variables();
        variables.observe(&resource.id, found);
        for (name, value) in item {
            variables.bind(name, value);
        }
        for condition in &resource.ready_when {
            if !condition.holds_with(&variables, &mut self.budget).map_err(CompositionError::Expression)? {
                return Ok(Readiness::Waiting(format!("{} does not hold", condition.written())));
            }
        }
        Ok(Readiness::Ready)
    }
}

fn is_terminating(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

fn not_ready(resource: &DesiredResource) -> Option<String> {
    match &resource.readiness {
        Readiness::Ready => None,
        Readiness::Waiting(why) | Readiness::Failed(why) => {
            Some(format!("{} to be ready: {why}", resource.id))
        }
    }
}

fn yet(error: &ExpressionError) -> String {
    format!("{}: {} yet", error.expression, error.problem)
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
