//! Writes requests, each write with the resource version that the decision was made on. A definition with a status
//! subresource takes two writes where one without takes one; it is private.

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Map, Value, json};

use super::{
    failure::{is_gone, is_name_taken, of_call},
    outcome::FailureKind,
};
use crate::{
    api::{
        names::{REQUEST_GROUP, VERSION},
        request_state::{RequestState, RequestStateSpec, RequestStateStatus},
    },
    diff::request::Position,
    runtime::kubernetes::{CALL_TIME_LIMIT, CallError, call},
};

/// How the API server keeps the status of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As a subresource, apart from the spec.
    Subresource,
    /// As a part of the object: there is no `/status`.
    Whole,
}

/// What is to change about a request.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The status before the spec changes: a later write may disturb the owner of the next transition.
    pub before: Option<RequestStateStatus>,
    /// Where the request goes, if it goes.
    pub position: Option<Position>,
    /// An annotation, written together with the position.
    pub annotation: Option<(&'static str, String)>,
    /// The status after the spec has changed. Only for one who owns the next transition too.
    pub after: Option<RequestStateStatus>,
}

/// How a new request is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestName {
    /// By a name that begins like this, and that nothing else has.
    New(String),
    /// By this name.
    Fixed(String),
}

/// Why a request was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It has changed meanwhile: read it and decide again.
    #[error("the request has changed meanwhile")]
    Conflict,
    /// It is gone.
    #[error("the request is gone")]
    Gone,
    /// Refused, or no answer.
    #[error("{0}")]
    Failed(String),
}

/// Writes requests as one field manager.
#[derive(Clone)]
pub struct Requests {
    client: Client,
    layout: Layout,
    parameters: PatchParams,
}

impl Requests {
    /// Asks the API server how it keeps requests.
    ///
    /// # Errors
    ///
    /// When it does not answer, or does not know the kind; for a person.
    pub async fn discover(client: Client, manager: &str) -> Result<Self, String> {
        let group_version = format!("{REQUEST_GROUP}/{VERSION}");
        let listed = call(CALL_TIME_LIMIT, client.list_api_group_resources(&group_version)).await;
        let resources = match listed {
            Ok(list) => list.resources,
            Err(error) if is_gone(&error) => Vec::new(),
            Err(error) => return Err(error.explain("look for RequestStates")),
        };
        let plural = RequestState::plural(&());
        let has = |name: &str| resources.iter().any(|resource| resource.name == name);
        if !has(&plural) {
            return Err(format!(
                "the API server knows no {plural}.{REQUEST_GROUP}: install the chart colonyos-operator-crds, or pipe `colonyos-operator crds` into kubectl apply"
            ));
        }
        let layout = if has(&format!("{plural}/status")) { Layout::Subresource } else { Layout::Whole };
        let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        Ok(Self { client, layout, parameters })
    }

    /// How the API server keeps requests.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Creates a request. If there is one of a fixed name already, that one is given back as it is.
    ///
    /// # Errors
    ///
    /// When the server refuses or does not answer; for a person.
    pub async fn create_or_get(
        &self,
        namespace: &str,
        name: &RequestName,
        spec: RequestStateSpec,
        annotation: (&str, String),
    ) -> Result<RequestState, String> {
        let mut object = RequestState::new("", spec);
        let fixed = match name {
            RequestName::New(prefix) => {
                object.metadata.generate_name = Some(prefix.clone());
                None
            }
            RequestName::Fixed(name) => Some(name.clone()),
        };
        object.metadata.name.clone_from(&fixed);
        object.annotations_mut().insert(annotation.0.to_owned(), annotation.1);
        let parameters =
            PostParams { field_manager: self.parameters.field_manager.clone(), ..PostParams::default() };
        let api = self.api::<RequestState>(namespace);
        match (call(CALL_TIME_LIMIT, api.create(&parameters, &object)).await, fixed) {
            (Err(error), Some(name)) if is_name_taken(&error) => call(CALL_TIME_LIMIT, api.get(&name))
                .await
                .map_err(|error| error.explain(&format!("get RequestState {namespace}/{name}"))),
            (Err(error), _) => Err(error.explain(&format!("create a RequestState in namespace {namespace}"))),
            (Ok(created), _) => Ok(created),
        }
    }

    /// The request as it is now; none if it is gone, or another one has its name.
    ///
    /// # Errors
    ///
    /// When the server refuses or does not answer; for a person.
    pub async fn read(&self, object: &RequestState) -> Result<Option<RequestState>, String> {
        let (namespace, name) = key(object);
        let found = call(CALL_TIME_LIMIT, self.api::<RequestState>(&namespace).get_opt(&name)).await;
        let found = found.map_err(|error| error.explain(&format!("get RequestState {namespace}/{name}")))?;
        Ok(found.filter(|found| found.uid() == object.uid()))
    }

    /// Changes a request that is still as in `object`; the request as it is then. Nothing to change is no write.
    ///
    /// # Errors
    ///
    /// When it is not, or the server refuses or does not answer.
    pub async fn write(&self, object: &RequestState, change: Change) -> Result<RequestState, WriteError> {
        let Change { before, position, annotation, after } = change;
        let mut main = Map::new();
        if let Some(Position { job, state }) = position {
            main.insert("spec".to_owned(), json!({ "job": job, "state": state }));
        }
        let annotations = annotation.map(|(name, value)| json!({ name: value }));
        match self.layout {
            Layout::Whole => {
                if let Some(status) = after.or(before) {
                    main.insert("status".to_owned(), status_patch(object, &status)?);
                }
                self.patch(object, main, annotations, None).await
            }
            Layout::Subresource => {
                let mut current = object.clone();
                if let Some(status) = before {
                    current = self.patch_status(&current, &status).await?;
                }
                current = self.patch(&current, main, annotations, None).await?;
                if let Some(status) = after {
                    current = self.patch_status(&current, &status).await?;
                }
                Ok(current)
            }
        }
    }

    async fn patch_status(
        &self,
        object: &RequestState,
        status: &RequestStateStatus,
    ) -> Result<RequestState, WriteError> {
        let body = Map::from_iter([("status".to_owned(), status_patch(object, status)?)]);
        self.patch(object, body, None, Some("status")).await
    }

    async fn patch(
        &self,
        object: &RequestState,
        mut body: Map<String, Value>,
        annotations: Option<Value>,
        subresource: Option<&str>,
    ) -> Result<RequestState, WriteError> {
        if body.is_empty() && annotations.is_none() {
            return Ok(object.clone());
        }
        let mut metadata = json!({ "resourceVersion": object.resource_version() });
        if let Some(annotations) = annotations {
            metadata["annotations"] = annotations;
        }
        body.insert("metadata".to_owned(), metadata);
        let (namespace, name) = key(object);
        let api = self.api::<RequestState>(&namespace);
        let patch = Patch::Merge(Value::Object(body));
        let written = match subresource {
            None => call(CALL_TIME_LIMIT, api.patch(&name, &self.parameters, &patch)).await,
            Some(_) => call(CALL_TIME_LIMIT, api.patch_status(&name, &self.parameters, &patch)).await,
        };
        written.map_err(|error| refused(&error, &namespace, &name))
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn refused(error: &CallError, namespace: &str, name: &str) -> WriteError {
    let failure = of_call(&format!("write RequestState {namespace}/{name}"), error);
    match failure.kind {
        FailureKind::Conflict => WriteError::Conflict,
        _ if is_gone(error) => WriteError::Gone,
        _ => WriteError::Failed(failure.message),
    }
}

/// A merge patch that sets the operator's fields of status; fields that are absent are removed.
fn status_patch(object: &RequestState, status: &RequestStateStatus) -> Result<Value, WriteError> {
    let value = |status: &RequestStateStatus| {
        serde_json::to_value(status)
            .map_err(|error| WriteError::Failed(format!("failed to write status as JSON: {error}")))
    };
    let mut patch = value(status)?;
    let before = object.status.as_ref().map(value).transpose()?;
    if let (Some(fields), Some(Value::Object(before))) = (patch.as_object_mut(), before) {
        for name in before.keys() {
            fields.entry(name.clone()).or_insert(Value::Null);
        }
    }
    Ok(patch)
}

fn key(object: &RequestState) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}
