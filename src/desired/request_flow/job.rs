//! One job of a flow that can be followed: what it asks an executor for, and what follows when it fails.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{super::function::Place, error::RequestFlowError};
use crate::{
    api::{
        self,
        duration::NotADuration,
        executor_deployment::ExecutionGuarantee,
        function::{ExecutorConditions, FunctionCall},
        request_flow::{FailureAction, FlowFunction, FlowJob, OnFailure},
    },
    expression::{self, Bindings, Template},
};

/// Variable with the object of the request.
pub const REQUEST: &str = "request";
/// Variable with what earlier jobs gave, by the jobs' names.
pub const JOBS: &str = "jobs";

/// How often a job is run by Retry, the first time included, if its flow does not set it.
const DEFAULT_RETRIES: u32 = 3;
/// How often the flow jumps from a job, if its flow does not set it.
const DEFAULT_JUMPS: u32 = 1;
/// How long the first retry waits, if its flow does not set it.
const DEFAULT_BACKOFF: Duration = Duration::from_secs(10);

/// A job of a flow that can be followed.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledJob {
    pub(super) name: String,
    function: FlowFunction,
    pub(super) template: Template,
    field: String,
    pub(super) after_failure: AfterFailure,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AfterFailure {
    Stop,
    Retry { max_attempts: u32, backoff: Duration },
    GoTo { job: String, max_attempts: u32 },
}

impl CompiledJob {
    pub(super) fn compile(index: usize, job: &FlowJob) -> Result<Self, RequestFlowError> {
        let at = |field: &str| format!("spec.jobs[{index}].{field}");
        let function = &job.function;
        for (field, limit) in
            [("maxWaitTime", &function.max_wait_time), ("maxExecTime", &function.max_exec_time)]
        {
            let seconds = limit.as_ref().map(api::duration::Duration::to_seconds).transpose();
            seconds.map_err(|error| not_a_duration(at(&format!("function.{field}")), &error))?;
        }
        let field = at("function");
        let template = Template::parse(&field, &rendered_part(function), &[REQUEST, JOBS])
            .map_err(RequestFlowError::Expression)?;
        Ok(Self {
            name: job.name.clone(),
            after_failure: AfterFailure::of(job.on_failure.as_ref(), &at)?,
            function: FlowFunction { args: Vec::new(), kwargs: Map::new(), ..function.clone() },
            template,
            field,
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to ask an executor, with the request and the earlier jobs bound as [`REQUEST`] and [`JOBS`].
    ///
    /// # Errors
    /// When an expression has no value, or has one of a type that its field cannot hold.
    pub fn render(&self, bindings: &Bindings) -> Result<FunctionCall, expression::ExpressionError> {
        let mut rendered = self.template.render(bindings)?;
        let mut take = |field: &str| rendered.get_mut(field).map(Value::take).unwrap_or_default();
        let names = match take("executorNames") {
            Value::Array(names) => names,
            _ => Vec::new(),
        };
        let executor_names = names
            .into_iter()
            .enumerate()
            .map(|(index, name)| self.text(&format!("executorNames[{index}]"), name))
            .collect::<Result<_, _>>()?;
        let location = match take("location") {
            Value::Null if self.function.location.is_none() => None,
            location => Some(self.text("location", location)?),
        };
        let args = match take("args") {
            Value::Array(args) => args,
            _ => Vec::new(),
        };
        let kwargs = match take("kwargs") {
            Value::Object(kwargs) => kwargs,
            _ => Map::new(),
        };
        let function = &self.function;
        Ok(FunctionCall {
            function: function.name.clone(),
            args,
            kwargs,
            env: function.env.clone(),
            conditions: ExecutorConditions {
                executor_type: function.executor_type.clone(),
                executor_names,
                location,
                resources: function.resources.clone(),
                ..ExecutorConditions::default()
            },
            priority: function.priority,
            max_wait_time: function.max_wait_time.clone(),
            max_exec_time: function.max_exec_time.clone(),
            max_retries: function.max_retries,
            fs: None,
            channels: Vec::new(),
        })
    }

    /// Where its function stands in the flow.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { call: self.field.clone(), conditions: self.field.clone() }
    }

    /// Whether its process is to wait behind a gate until it is on record.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        self.function.execution_guarantee == Some(ExecutionGuarantee::Strict)
    }

    fn text(&self, field: &str, value: Value) -> Result<String, expression::ExpressionError> {
        match value {
            Value::String(text) if !text.is_empty() => Ok(text),
            other => Err(expression::ExpressionError {
                field: format!("{}.{field}", self.field),
                expression: other.to_string().chars().take(64).collect(),
                problem: "this is no name".to_owned(),
                remedy: "let the expression give a string that is not empty".to_owned(),
                is_absent: false,
            }),
        }
    }
}

impl AfterFailure {
    fn of(on_failure: Option<&OnFailure>, at: &impl Fn(&str) -> String) -> Result<Self, RequestFlowError> {
        let Some(on_failure) = on_failure else { return Ok(Self::Stop) };
        let attempts = on_failure.max_attempts.and_then(|attempts| u32::try_from(attempts).ok());
        match (on_failure.action, &on_failure.job) {
            (FailureAction::Stop, _) => Ok(Self::Stop),
            (FailureAction::Retry, _) => {
                let backoff = on_failure.backoff.as_ref().map(api::duration::Duration::to_std).transpose();
                let backoff = backoff.map_err(|error| not_a_duration(at("onFailure.backoff"), &error))?;
                let max_attempts = attempts.unwrap_or(DEFAULT_RETRIES);
                Ok(Self::Retry { max_attempts, backoff: backoff.unwrap_or(DEFAULT_BACKOFF) })
            }
            (FailureAction::GoTo, Some(job)) => {
                Ok(Self::GoTo { job: job.clone(), max_attempts: attempts.unwrap_or(DEFAULT_JUMPS) })
            }
            (FailureAction::GoTo, None) => Err(RequestFlowError::invalid(
                at("onFailure.job"),
                "absent",
                "name the job that action GoTo continues with",
            )),
        }
    }
}

/// The fields of a function that may hold expressions, where its object has them.
fn rendered_part(function: &FlowFunction) -> Value {
    let mut fields = Map::new();
    if !function.executor_names.is_empty() {
        fields.insert("executorNames".to_owned(), json!(function.executor_names));
    }
    if let Some(location) = &function.location {
        fields.insert("location".to_owned(), json!(location));
    }
    fields.insert("args".to_owned(), Value::Array(function.args.clone()));
    fields.insert("kwargs".to_owned(), Value::Object(function.kwargs.clone()));
    Value::Object(fields)
}

fn not_a_duration(field: String, error: &NotADuration) -> RequestFlowError {
    RequestFlowError::invalid(
        field,
        &error.0,
        "write whole hours, minutes and seconds, such as 60s, 10m or 1h30m",
    )
}
