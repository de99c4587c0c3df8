//! The desired schedule.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ColonyCronStatus;
use crate::api::{colony_process::ColonyProcessSpec, colony_workflow::ColonyWorkflowSpec};

/// Processes or workflows that are created again and again. Field by field it is a `CronJob` of Kubernetes, with work in a
/// colony in place of a Job.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "colonies.io",
    version = "v1",
    kind = "ColonyCron",
    plural = "colonycrons",
    namespaced,
    status = "ColonyCronStatus",
    derive = "PartialEq",
    category = "colonyos",
    shortname = "ccron",
    doc = "Processes or workflows in a colony that are created again and again, at the times that a schedule names.",
    validation = Rule::new("size(self.metadata.name) <= 52").message("metadata.name: its runs are called after it: use at most 52 characters"),
    printcolumn = r#"{"name": "Schedule", "type": "string", "jsonPath": ".spec.schedule"}"#,
    printcolumn = r#"{"name": "TimeZone", "type": "string", "jsonPath": ".spec.timeZone"}"#,
    printcolumn = r#"{"name": "Suspend", "type": "boolean", "jsonPath": ".spec.suspend"}"#,
    printcolumn = r#"{"name": "Active", "type": "string", "jsonPath": ".status.active"}"#,
    printcolumn = r#"{"name": "LastSchedule", "type": "date", "jsonPath": ".status.lastScheduleTime"}"#,
    printcolumn = r#"{"name": "NextSchedule", "type": "string", "jsonPath": ".status.nextScheduleTime"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Paused", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Paused')].status"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.processTemplate) != has(self.workflowTemplate)").message("set either processTemplate or workflowTemplate"))]
#[x_kube(validation = Rule::new("!has(self.processTemplate) || !has(self.processTemplate.spec.processId)").message("processTemplate.spec.processId: every run submits a new process: remove processId and adoptionPolicy"))]
#[x_kube(validation = Rule::new("!has(self.workflowTemplate) || !has(self.workflowTemplate.spec.graphId)").message("workflowTemplate.spec.graphId: every run submits a new workflow: remove graphId and adoptionPolicy"))]
pub struct ColonyCronSpec {
    /// When: minute, hour, day of month, month and day of week, as in `30 2 * * 1-5`, or one of `@yearly`, `@monthly`,
    /// `@weekly`, `@daily` and `@hourly`. It names times of the clock in `timeZone`: one that a clock put forward leaps over
    /// is left out, and one that a clock put back shows twice comes twice.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = schedule_rule())]
    pub schedule: String,

    /// Zone of the times in `schedule`, by its IANA name, such as `Europe/Stockholm`. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && !self.matches('^(?i:local)$')").message(Message::Expression("'timeZone: \"' + self + '\" is not the name of a time zone: use an IANA name, such as Europe/Stockholm'".into())))]
    pub time_zone: Option<String>,

    /// What happens when it is time for a run and one before it has not finished: `Allow` lets both run, `Forbid` waits until
    /// that one has finished, and `Replace` deletes that one first, which cancels it.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,

    /// How late a run may be. One that could not be created in this time is left out. Absent: the latest missed run
    /// is started, however late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub starting_deadline_seconds: Option<i64>,

    /// Create nothing for now; runs that exist continue. Runs that are missed meanwhile count as missed when this
    /// becomes false again: without `startingDeadlineSeconds`, the latest of them is started at once.
    #[serde(default)]
    pub suspend: bool,

    /// How many runs are kept that succeeded.
    #[serde(default = "default_successful")]
    #[schemars(range(min = 0, max = 1000))]
    pub successful_history_limit: i32,

    /// How many runs are kept that failed, were cancelled or were lost.
    #[serde(default = "default_failed")]
    #[schemars(range(min = 0, max = 1000))]
    pub failed_history_limit: i32,

    /// The `ColonyProcess` that is created. A change is for the runs to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_template: Option<ProcessTemplate>,

    /// The `ColonyWorkflow` that is created. A change is for the runs to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_template: Option<WorkflowTemplate>,
}

/// What the runs of a `ColonyCron` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// `ColonyProcess`.
    Process,
    /// `ColonyWorkflow`.
    Workflow,
}

/// A `ColonyProcess` to be.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessTemplate {
    /// Labels and annotations besides those of the operator.
    #[serde(default, skip_serializing_if = "TemplateMetadata::is_empty")]
    pub metadata: TemplateMetadata,
    /// What it is to do.
    pub spec: ColonyProcessSpec,
}

/// A `ColonyWorkflow` to be.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowTemplate {
    /// Labels and annotations besides those of the operator.
    #[serde(default, skip_serializing_if = "TemplateMetadata::is_empty")]
    pub metadata: TemplateMetadata,
    /// What it is to do.
    pub spec: ColonyWorkflowSpec,
}

/// Labels and annotations of what is created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Labels of what is created.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of what is created.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl TemplateMetadata {
    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// What happens when it is time for a run and one before it has not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Both run.
    #[default]
    Allow,
    /// The new one waits, and is left out if it is time for the next one before that.
    Forbid,
    /// The old one is deleted first.
    Replace,
}

const fn default_successful() -> i32 {
    3
}

const fn default_failed() -> i32 {
    1
}

/// What can be known of a schedule by its look. Reversed ranges and days that no month has are reported in status.
fn schedule_rule() -> Rule {
    const NAMES: [(&str, &str); 5] = [
        ("[0-5]?[0-9]", ""),
        ("(?:[01]?[0-9]|2[0-3])", ""),
        ("(?:0?[1-9]|[12][0-9]|3[01])", ""),
        ("(?:0?[1-9]|1[0-2])", "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"),
        ("[0-7]", "sun|mon|tue|wed|thu|fri|sat"),
    ];
    let fields = NAMES.map(|(number, names)| {
        let value = if names.is_empty() { number.to_owned() } else { format!("(?:{number}|(?i:{names}))") };
        let item = format!("(?:[*?]|{value}(?:-{value})?)(?:/[1-9][0-9]?)?");
        format!("{item}(?:,{item})*")
    });
    let shorthand = "@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)";
    let message = "'schedule: \"' + self + '\" is not a schedule: give minute, hour, day of month, month and day of week, such as \"30 2 * * 1-5\", or one of @yearly, @monthly, @weekly, @daily and @hourly; the time zone goes into timeZone'";
    Rule::new(format!("self.matches('^(?:{shorthand}|{})$')", fields.join(" +")))
        .message(kube::core::Message::Expression(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::schedule::Schedule;

    /// A schedule that is admitted but invalid is reported late; what is refused and could be followed is taken from
    /// users.
    #[test]
    fn the_rule_refuses_what_cannot_be_read_and_nothing_else() {
        let rule = schedule_rule().rule;
        let pattern = rule.strip_prefix("self.matches('").unwrap().strip_suffix("')").unwrap();
        let pattern = regex::Regex::new(pattern).unwrap();
        for text in [
            "* * * * *",
            "*/5 0-23/2 1,15 jan-MAR mon-fri",
            "30 2 * * 1-5",
            "0  4 ? * SUN",
            "59 23 31 12 7",
            "05 07 09 01 0",
            "@hourly",
        ] {
            assert!(pattern.is_match(text), "{text} is refused");
            Schedule::parse(text, None).unwrap();
        }
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
            "* * * foo *",
            "1, * * * *",
            "@reboot",
            "@every 5m",
            "TZ=Asia/Tokyo * * * * *",
            "* * * * * Asia/Tokyo",
        ] {
            assert!(!pattern.is_match(text), "{text} is let in");
            assert!(Schedule::parse(text, None).is_err(), "{text}");
        }
    }
}
