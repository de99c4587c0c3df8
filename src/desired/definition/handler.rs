//! The expressions by which what executors put out becomes status, compiled. Pure.

use serde_json::{Map, Value, json};

use super::super::{
    Error,
    expression::{self, Bindings, Template},
};
use crate::api::resource_definition::Handler;

/// What expressions of `handler.status` may speak of, with mode `process`.
pub const OUTPUT_VARIABLES: [&str; 5] = ["self", "schema", "output", "attributes", "errors"];

/// The expressions of a handler of mode `process`.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledHandler {
    status: Vec<(String, Template)>,
}

impl CompiledHandler {
    /// Compiles them.
    ///
    /// # Errors
    ///
    /// When one is not an expression, or speaks of what there is not.
    pub fn compile(handler: &Handler) -> Result<Self, Error> {
        Ok(Self { status: Self::each(handler).collect::<Result<_, _>>()? })
    }

    /// Everything that keeps them from being compiled.
    #[must_use]
    pub fn errors(handler: &Handler) -> Vec<Error> {
        Self::each(handler).filter_map(Result::err).collect()
    }

    fn each(handler: &Handler) -> impl Iterator<Item = Result<(String, Template), Error>> {
        handler.status.iter().map(|(name, text)| {
            let field = format!("spec.handler.status.{name}");
            let template = Template::parse(&field, &Value::from(text.as_str()), &OUTPUT_VARIABLES);
            template.map(|template| (name.clone(), template)).map_err(|error| of_expression(&error))
        })
    }

    /// The fields that have a value, and why the others have none, if somebody should know.
    #[must_use]
    pub fn fields(
        &self,
        instance: &Value,
        output: &[Value],
        attributes: &Map<String, Value>,
        errors: &[String],
    ) -> (Map<String, Value>, Vec<expression::Error>) {
        if self.status.is_empty() {
            return (Map::new(), Vec::new());
        }
        let bindings = Bindings::from([
            ("self".to_owned(), instance.clone()),
            ("schema".to_owned(), instance.clone()),
            ("output".to_owned(), json!(output)),
            ("attributes".to_owned(), Value::Object(attributes.clone())),
            ("errors".to_owned(), json!(errors)),
        ]);
        let (mut fields, mut problems) = (Map::new(), Vec::new());
        for (name, template) in &self.status {
            match template.render(&bindings) {
                Ok(value) => drop(fields.insert(name.clone(), value)),
                Err(error) => problems.push(error),
            }
        }
        (fields, problems)
    }
}

/// An expression that is none, as an error of this stage.
fn of_expression(error: &expression::Error) -> Error {
    Error::invalid(&error.field, &error.expression, format!("{}: {}", error.problem, error.remedy))
}
