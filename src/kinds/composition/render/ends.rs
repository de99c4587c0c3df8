//! What follows from all resources together: the status of the instance, and whether it has ended.

use std::collections::BTreeSet;

use serde_json::Map;

use super::{Done, Renderer, yet};
use crate::{
    expression::References,
    kinds::composition::{CompositionError, Desired, Unreported},
};

impl Renderer<'_> {
    pub(super) fn ends(mut self, done: Vec<Done>) -> Result<Desired, CompositionError> {
        let unknown: BTreeSet<&str> =
            done.iter().filter(|done| done.is_unknown).map(|done| done.desired.id.as_str()).collect();
        let excluded: BTreeSet<&str> =
            done.iter().filter(|done| done.is_excluded).map(|done| done.desired.id.as_str()).collect();
        let partial: BTreeSet<&str> =
            done.iter().filter(|done| done.is_partial).map(|done| done.desired.id.as_str()).collect();
        let first_of = |references: &References, ids: &BTreeSet<&str>| {
            references.variables().find(|name| ids.contains(name)).map(str::to_owned)
        };
        let (mut status, mut unreported) = (Map::new(), Vec::new());
        for (name, template) in &self.composition.status {
            if let Some(id) = first_of(template.references(), &unknown) {
                unreported.push(Unreported { field: name.clone(), why: id, is_unknown: true });
                continue;
            }
            let variables = self.about(&[template.references()], &done);
            match template.render_with(&variables, &mut self.budget) {
                Ok(value) => {
                    status.insert(name.clone(), value);
                }
                // An unwanted object never reports anything.
                Err(error) if error.is_absent && first_of(template.references(), &excluded).is_some() => {}
                Err(error) if error.is_absent => {
                    // What it was is not remembered, and what was read of it then still holds.
                    let is_unknown = first_of(template.references(), &partial).is_some();
                    unreported.push(Unreported { field: name.clone(), why: yet(&error), is_unknown });
                }
                Err(error) => return Err(CompositionError::Expression(error)),
            }
        }
        let is_finished = match &self.composition.finished_when {
            Some(condition) if first_of(condition.references(), &unknown).is_none() => {
                let variables = self.about(&[condition.references()], &done);
                condition.holds_with(&variables, &mut self.budget).map_err(CompositionError::Expression)?
            }
            _ => false,
        };
        let resources = done.into_iter().map(|done| done.desired).collect();
        Ok(Desired { resources, status, unreported, is_finished })
    }
}
