//! The compiled expressions that map the output of executors to status. Pure.

use serde_json::{Map, Value, json};

use super::super::SpecError;
use crate::{
    api::resource_definition::{Handler, HandlerMode},
    colony::model::Blueprint,
    expression::{self, Bindings, Condition, Template},
};

/// What expressions may speak of with mode `process`.
const PROCESS_VARIABLES: [&str; 5] = ["self", "schema", "output", "attributes", "errors"];
/// What expressions may speak of with mode `blueprint`.
const BLUEPRINT_VARIABLES: [&str; 3] = ["self", "schema", "blueprint"];

/// The expressions of a handler of mode `process` or `blueprint`.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledHandler {
    status: Vec<(String, Template)>,
    ready_when: Vec<Condition>,
}

impl CompiledHandler {
    /// Compiles them.
    ///
    /// # Errors
    ///
    /// When one is not an expression, or speaks of what there is not.
    pub fn compile(handler: &Handler) -> Result<Self, SpecError> {
        Ok(Self {
            status: Self::each_field(handler).collect::<Result<_, _>>()?,
            ready_when: Self::each_condition(handler).collect::<Result<_, _>>()?,
        })
    }

    /// Everything that keeps them from being compiled.
    #[must_use]
    pub fn errors(handler: &Handler) -> Vec<SpecError> {
        let fields = Self::each_field(handler).filter_map(Result::err);
        fields.chain(Self::each_condition(handler).filter_map(Result::err)).collect()
    }

    fn each_field(handler: &Handler) -> impl Iterator<Item = Result<(String, Template), SpecError>> {
        handler.status.iter().map(|(name, text)| {
            let field = format!("spec.handler.status.{name}");
            let template = Template::parse(&field, &Value::from(text.as_str()), variables(handler.mode));
            template.map(|template| (name.clone(), template)).map_err(|error| of_expression(&error))
        })
    }

    fn each_condition(handler: &Handler) -> impl Iterator<Item = Result<Condition, SpecError>> {
        let variables = variables(handler.mode);
        handler.blueprint_terms().ready_when.into_iter().enumerate().map(move |(index, text)| {
            let field = format!("spec.handler.blueprint.readyWhen[{index}]");
            Condition::parse_in_braces(&field, &text, variables).map_err(|error| of_expression(&error))
        })
    }

    /// The fields that have a value, and why others have none, if that should be reported.
    #[must_use]
    pub fn fields(&self, bindings: &Bindings) -> (Map<String, Value>, Vec<expression::ExpressionError>) {
        let (mut fields, mut problems) = (Map::new(), Vec::new());
        for (name, template) in &self.status {
            match template.render(bindings) {
                Ok(value) => drop(fields.insert(name.clone(), value)),
                Err(error) => problems.push(error),
            }
        }
        (fields, problems)
    }

    /// Whether conditions report readiness.
    #[must_use]
    pub const fn has_conditions(&self) -> bool {
        !self.ready_when.is_empty()
    }

    /// The first condition of readiness that does not hold, as it was written; none if all do.
    ///
    /// # Errors
    ///
    /// When a result is not a Boolean.
    pub fn unmet(&self, bindings: &Bindings) -> Result<Option<&str>, expression::ExpressionError> {
        for condition in &self.ready_when {
            if !condition.holds(bindings)? {
                return Ok(Some(condition.written()));
            }
        }
        Ok(None)
    }
}

const fn variables(mode: HandlerMode) -> &'static [&'static str] {
    match mode {
        HandlerMode::Blueprint => &BLUEPRINT_VARIABLES,
        HandlerMode::Process | HandlerMode::Compose => &PROCESS_VARIABLES,
    }
}

/// What expressions see of an instance and its process.
#[must_use]
pub fn of_process(
    instance: &Value,
    output: &[Value],
    attributes: &Map<String, Value>,
    errors: &[String],
) -> Bindings {
    let mut bindings = of_instance(instance);
    bindings.insert("output".to_owned(), json!(output));
    bindings.insert("attributes".to_owned(), Value::Object(attributes.clone()));
    bindings.insert("errors".to_owned(), json!(errors));
    bindings
}

/// What expressions see of an instance and its blueprint.
#[must_use]
pub fn of_blueprint(instance: &Value, blueprint: &Blueprint) -> Bindings {
    let mut bindings = of_instance(instance);
    let metadata = &blueprint.metadata;
    let seen = json!({
        "kind": blueprint.kind,
        "metadata": {
            "name": metadata.name, "generation": metadata.generation, "locationname": metadata.location,
            "labels": metadata.labels, "annotations": metadata.annotations,
        },
        "spec": blueprint.spec,
        "status": blueprint.status,
    });
    bindings.insert("blueprint".to_owned(), seen);
    bindings
}

fn of_instance(instance: &Value) -> Bindings {
    Bindings::from([("self".to_owned(), instance.clone()), ("schema".to_owned(), instance.clone())])
}

/// An expression that is none, as an error of this stage.
fn of_expression(error: &expression::ExpressionError) -> SpecError {
    SpecError::invalid(&error.field, &error.expression, format!("{}: {}", error.problem, error.remedy))
}
