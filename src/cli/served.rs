//! Kinds as the API server serves them, the operator's own and those that users define, and their objects.

use kube::{
    Api, ResourceExt as _,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

use super::{
    Failure, defined,
    discovered::{self, Discovered},
};
use crate::{
    api::{
        kind::{Kind, OwnKind},
        resource_definition::{DefinitionScope, ResourceDefinition},
    },
    runtime::kubernetes::{CALL_TIME_LIMIT, CallError, Kubernetes, call},
};

/// How many objects a page of a list has.
const PAGE: u32 = 500;

/// A kind, and where the API server has its objects.
#[derive(Clone, Debug)]
pub(super) struct ServedKind {
    pub resource: ApiResource,
    pub is_namespaced: bool,
    /// Its definition, if users defined it and this user may read that.
    pub definition: Option<ResourceDefinition>,
}

impl ServedKind {
    /// The kind that kubectl takes by this name.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be looked up; which there are.
    pub(super) async fn called(kubernetes: &Kubernetes, kind: &str) -> Result<Self, Failure> {
        match Kind::called(kind).and_then(|kind| kind.info().own.as_ref()) {
            Some(own) => Ok(Self::own(own)),
            None => Self::of_users(kubernetes, kind).await,
        }
    }

    /// The kind of users that kubectl takes by this name. Its definition is left out for a user who may not list definitions.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be looked up; which there are.
    pub(super) async fn of_users(kubernetes: &Kubernetes, kind: &str) -> Result<Self, Failure> {
        if let Some(definition) = defined::find(kubernetes, kind).await? {
            return Self::defined(definition);
        }
        let Discovered { resource, is_namespaced } = discovered::find(kubernetes, kind).await?;
        Ok(Self { resource, is_namespaced, definition: None })
    }

    /// A kind of the operator.
    pub(super) fn own(own: &OwnKind) -> Self {
        let is_namespaced = (own.definition)().spec.scope == "Namespaced";
        Self { resource: (own.resource)(), is_namespaced, definition: None }
    }

    /// A kind that users define.
    pub(super) fn defined(definition: ResourceDefinition) -> Result<Self, Failure> {
        let resource = defined::resource_of(&definition)
            .ok_or_else(|| format!("{} has no version with storage", definition.name_any()))?;
        let is_namespaced = definition.spec.scope == DefinitionScope::Namespaced;
        Ok(Self { resource, is_namespaced, definition: Some(definition) })
    }

    /// Its row in the table of kinds.
    pub(super) fn kind(&self) -> Kind {
        Kind::find(&self.resource.group, &self.resource.kind).unwrap_or(Kind::Instance)
    }

    /// Its objects, of one namespace or of all.
    pub(super) fn api(&self, kubernetes: &Kubernetes, namespace: Option<&str>) -> Api<DynamicObject> {
        let client = kubernetes.calls.clone();
        match namespace.filter(|_| self.is_namespaced) {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }

    /// An object, as kubectl names it.
    pub(super) fn named(&self, namespace: &str, name: &str) -> String {
        let place = if self.is_namespaced { format!("{namespace}/") } else { String::new() };
        format!("{} {place}{name}", self.resource.kind)
    }

    /// One object.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) async fn get(&self, kubernetes: &Kubernetes, name: &str) -> Result<Value, Failure> {
        let namespace = kubernetes.namespace.as_str();
        let found = call(CALL_TIME_LIMIT, self.api(kubernetes, Some(namespace)).get(name)).await;
        let what = format!("get {}", self.named(namespace, name));
        self.whole(found.map_err(|error| error.explain(&what))?)
    }

    /// All objects of one namespace, or of all.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub(super) async fn list(
        &self,
        kubernetes: &Kubernetes,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<Vec<Value>, Failure> {
        let api = self.api(kubernetes, namespace);
        let mut page = ListParams::default().limit(PAGE);
        if let Some(labels) = labels {
            page = page.labels(labels);
        }
        let mut found = Vec::new();
        loop {
            let listed = match call(CALL_TIME_LIMIT, api.list(&page)).await {
                Ok(listed) => listed,
                Err(error) => return Err(self.unlisted(namespace, &error).into()),
            };
            let next = listed.metadata.continue_.clone().filter(|token| !token.is_empty());
            for object in listed.items {
                found.push(self.whole(object)?);
            }
            match next {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    fn unlisted(&self, namespace: Option<&str>, error: &CallError) -> String {
        let place = match namespace {
            Some(namespace) if self.is_namespaced => format!(" in namespace {namespace}"),
            _ => String::new(),
        };
        error.explain(&format!("list {}.{}{place}", self.resource.plural, self.resource.group))
    }

    /// An object with version and kind, which lists leave out.
    ///
    /// # Errors
    ///
    /// When it is no JSON.
    pub(super) fn whole(&self, object: DynamicObject) -> Result<Value, Failure> {
        let mut object = serde_json::to_value(object)?;
        object["apiVersion"] = json!(self.resource.api_version);
        object["kind"] = json!(self.resource.kind);
        Ok(object)
    }
}

/// Kind and name of an object.
///
/// # Errors
///
/// When either is missing.
pub(super) fn kind_and_name(object: &str) -> Result<(&str, &str), Failure> {
    let both = object.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty());
    both.ok_or_else(|| {
        format!("{object:?} is no object: give its kind and its name, such as colonyprocess/NAME").into()
    })
}
