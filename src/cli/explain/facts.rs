//! What is known of an object and of what it depends on. Pure.

use k8s_openapi::{
    api::core::v1::Event,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::Value;

use super::super::Failure;
use crate::api::{
    colony::Colony,
    condition::ConditionType,
    kind::Kind,
    mirror::MirrorStatus,
    names::{COLONY_ANNOTATION, FLOW_ANNOTATION},
    request_flow::RequestFlow,
    resource_definition::ResourceDefinition,
};

/// What is known of an object.
#[derive(Default)]
pub(in crate::cli) struct Facts {
    /// As the API server has it.
    pub object: Value,
    /// The definition of its kind, if users defined that.
    pub definition: Option<ResourceDefinition>,
    /// The Colony that it is in, or would be.
    pub colony: Option<Colony>,
    /// The flow that it follows.
    pub flow: Option<RequestFlow>,
    pub events: Vec<Event>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

impl Facts {
    /// The first document is the object.
    pub(in crate::cli) fn of_documents(documents: &str) -> Result<Self, Failure> {
        let mut facts = Self::default();
        for document in serde_norway::Deserializer::from_str(documents) {
            let value = Value::deserialize(document)?;
            let kind = value["kind"].as_str().unwrap_or_default().to_owned();
            match kind.as_str() {
                _ if facts.object.is_null() => facts.object = value,
                "ResourceDefinition" => facts.definition = Some(serde_json::from_value(value)?),
                "Colony" => facts.colony = Some(serde_json::from_value(value)?),
                "RequestFlow" => facts.flow = Some(serde_json::from_value(value)?),
                "Event" => facts.events.push(serde_json::from_value(value)?),
                _ => return Err(format!("{kind} says nothing of an object").into()),
            }
        }
        Ok(facts)
    }

    /// Its kind in the table of kinds.
    pub(in crate::cli) fn kind(&self) -> Kind {
        let (group, _) = self.text("/apiVersion").split_once('/').unwrap_or_default();
        Kind::find(group, self.text("/kind")).unwrap_or(Kind::Instance)
    }

    /// A text in the object; empty if there is none.
    pub(in crate::cli) fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// A part of the object, if it is there and can be read.
    pub(in crate::cli) fn part<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        serde_json::from_value(self.object.pointer(pointer)?.clone()).ok()
    }

    /// A moment in the object.
    pub(in crate::cli) fn time(&self, pointer: &str) -> Option<Time> {
        self.part(pointer)
    }

    pub(in crate::cli) fn mirror(&self) -> Option<MirrorStatus> {
        self.part("/status/mirror")
    }

    pub(in crate::cli) fn conditions(&self) -> Vec<Condition> {
        self.part("/status/conditions").unwrap_or_default()
    }

    pub(in crate::cli) fn condition(&self, kind: ConditionType) -> Option<Condition> {
        self.conditions().into_iter().find(|condition| condition.type_ == kind.as_str())
    }

    /// The condition that sums up the others: whether the object is at its end, or as it is to be.
    pub(in crate::cli) fn main_condition(&self) -> ConditionType {
        match self.kind() {
            Kind::ColonyProcess | Kind::ColonyWorkflow | Kind::RequestState => ConditionType::Finished,
            _ => ConditionType::Ready,
        }
    }

    /// Whether nothing more will happen to it.
    pub(in crate::cli) fn is_over(&self) -> bool {
        self.condition(ConditionType::Finished).is_some_and(|condition| condition.status == "True")
    }

    /// The Colony that it names, or that stands in status.
    pub(in crate::cli) fn named_colony(&self) -> Option<String> {
        let annotation = self.annotation(COLONY_ANNOTATION);
        let named = [self.text("/status/colony/name"), self.text("/spec/colony"), annotation];
        let named = named.into_iter().find(|name| !name.is_empty()).map(str::to_owned);
        let of_flow = || self.flow.as_ref()?.spec.colony.clone();
        named
            .or_else(of_flow)
            .or_else(|| self.definition.as_ref()?.spec.handler.colony.clone())
            .or_else(|| self.part::<String>("/spec/handler/colony"))
    }

    /// The value of an annotation; empty if there is none.
    pub(in crate::cli) fn annotation(&self, name: &str) -> &str {
        let annotations = self.object.pointer("/metadata/annotations");
        annotations.and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default()
    }

    /// The flow that a request names.
    pub(in crate::cli) fn flow_name(&self) -> Option<&str> {
        let named = Some(self.annotation(FLOW_ANNOTATION)).filter(|flow| !flow.is_empty());
        named.filter(|flow| self.kind() == Kind::RequestState && !flow.contains(','))
    }
}
