//! Creates an object that a user asks for by a command, once for one wish: it has a name that follows from the wish.

use kube::{api::PostParams, core::DynamicObject};
use serde_json::Value;

use super::{Failure, output::Output, served::ServedKind};
use crate::runtime::kubernetes::{CALL_TIME_LIMIT, Kubernetes, call};

/// What became of it.
#[derive(Debug)]
pub(super) struct Created {
    object: Value,
    /// It was there already: an earlier call, or another user, has created it for the same wish.
    existed: bool,
}

impl Created {
    /// Prints what it is called, as other commands take it, or all of it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) fn print(&self, output: Output) -> Result<(), Failure> {
        let word = if self.existed { "exists already" } else { "created" };
        output.print(|| format!("{} {word}\n", reference(&self.object)), || self.object.clone())
    }
}

/// An object as commands take it.
pub(super) fn reference(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap_or_default())
}

/// Creates an object. One of its name and with the same value of annotation `mark` is what it would be.
///
/// # Errors
///
/// When it is not there afterwards, or that is not known.
pub(super) async fn create(
    kubernetes: &Kubernetes,
    served: &ServedKind,
    object: Value,
    mark: &str,
) -> Result<Created, Failure> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let wanted = object["metadata"]["annotations"][mark].clone();
    let dynamic: DynamicObject = serde_json::from_value(object)?;
    let api = served.api(kubernetes, Some(&kubernetes.namespace));
    let error = match call(CALL_TIME_LIMIT, api.create(&PostParams::default(), &dynamic)).await {
        Ok(created) => return Ok(Created { object: served.whole(created)?, existed: false }),
        Err(error) => error,
    };
    // Its name may be taken by what is asked for, and without an answer it may be there all the same.
    let existing = served.get(kubernetes, &name).await;
    if let Some(object) = existing.ok().filter(|object| object["metadata"]["annotations"][mark] == wanted) {
        return Ok(Created { object, existed: true });
    }
    Err(error.explain(&format!("create {}", served.named(&kubernetes.namespace, &name))).into())
}
