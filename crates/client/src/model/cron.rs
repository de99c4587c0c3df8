//! Crons: workflows that the server submits again and again.

use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::{InvalidField, WorkflowSpec, field, timestamp};

/// When a cron runs. The server looks once a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// That many seconds after the last time; the first time, after it was added.
    Every(NonZeroU32),
    /// At the times of an expression with six fields, seconds first, in the server's time zone; or one like
    /// `@hourly`. Only the server checks it.
    Expression(String),
}

/// A cron to be added. Not random: the server takes that flag and does not keep to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewCron {
    #[serde(rename = "colonyname")]
    colony: String,
    name: String,
    #[serde(rename = "cronexpression")]
    expression: String,
    interval: i64,
    #[serde(rename = "workflowspec", serialize_with = "as_text")]
    workflow: WorkflowSpec,
    #[serde(rename = "waitforprevprocessgraph")]
    waits_for_previous: bool,
}

impl NewCron {
    /// The cron `name`, which submits `workflow`, also while the one before is still running.
    ///
    /// # Errors
    /// When the name is empty or holds `:`, white space or control characters.
    pub fn new(name: &str, schedule: Schedule, workflow: WorkflowSpec) -> Result<Self, InvalidField> {
        let (expression, interval) = match schedule {
            Schedule::Every(seconds) => (String::new(), i64::from(seconds.get())),
            Schedule::Expression(expression) => (expression, -1),
        };
        Ok(Self {
            colony: workflow.colony().to_owned(),
            name: field::name("name", name)?,
            expression,
            interval,
            workflow,
            waits_for_previous: false,
        })
    }

    /// Lets it wait until the workflow before has succeeded or failed. **One that is cancelled counts as
    /// neither**: the cron then never runs again.
    #[must_use]
    pub fn wait_for_previous(mut self) -> Self {
        self.waits_for_previous = true;
        self
    }
}

/// The protocol has the workflow as JSON in a text.
fn as_text<S: Serializer>(workflow: &WorkflowSpec, serializer: S) -> Result<S::Ok, S::Error> {
    let text = serde_json::to_string(workflow).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&text)
}

/// A cron as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Cron {
    /// The server's id of it.
    #[serde(rename = "cronid")]
    pub id: String,
    /// Its colony.
    #[serde(rename = "colonyname")]
    pub colony: String,
    /// Its name, unique in the colony.
    pub name: String,
    /// Its expression; empty when it has an interval.
    #[serde(rename = "cronexpression", default)]
    pub expression: String,
    /// Seconds between two runs; -1 when it has an expression.
    #[serde(rename = "interval", default)]
    pub interval_seconds: i64,
    /// The member for whom it submits.
    #[serde(rename = "initiatorname", default)]
    pub initiator_name: String,
    /// What it submits: a workflow's JSON as text, which any member may have written.
    #[serde(rename = "workflowspec", default)]
    pub workflow: String,
    /// When it will run next. `None` in its first second.
    #[serde(rename = "nextrun", deserialize_with = "timestamp::optional")]
    pub next_run_at: Option<Timestamp>,
    /// When it last ran.
    #[serde(rename = "lastrun", deserialize_with = "timestamp::optional")]
    pub last_run_at: Option<Timestamp>,
    /// The workflow that it submitted last; empty before that.
    #[serde(rename = "prevprocessgraphid", default)]
    pub previous_graph_id: String,
    /// Whether it waits until the workflow before has succeeded or failed.
    #[serde(rename = "waitforprevprocessgraph", default)]
    pub waits_for_previous: bool,
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use serde_json::Value;

    use super::{super::FunctionSpec, NewCron, Schedule, WorkflowSpec};

    fn workflow() -> WorkflowSpec {
        let node = FunctionSpec::new("dev", "cli", "f").unwrap().node_name("only").unwrap();
        WorkflowSpec::new("dev", vec![node]).unwrap()
    }

    /// An interval of 0 is refused by the server; -1 stands for "by its expression".
    #[test]
    fn a_cron_has_an_interval_or_an_expression() {
        let sent = |schedule| {
            serde_json::to_value(NewCron::new("nightly", schedule, workflow()).unwrap().wait_for_previous())
        };
        let every = sent(Schedule::Every(NonZeroU32::MIN)).unwrap();
        assert_eq!((&every["interval"], &every["cronexpression"]), (&Value::from(1), &Value::from("")));
        assert_eq!(every["waitforprevprocessgraph"], true);
        let inner: Value = serde_json::from_str(every["workflowspec"].as_str().unwrap()).unwrap();
        assert_eq!(inner["functionspecs"][0]["nodename"], "only");
        let at = sent(Schedule::Expression("0 0 3 * * *".into())).unwrap();
        assert_eq!((&at["interval"], &at["cronexpression"]), (&Value::from(-1), &Value::from("0 0 3 * * *")));
        assert!(NewCron::new("", Schedule::Every(NonZeroU32::MIN), workflow()).is_err());
    }
}
