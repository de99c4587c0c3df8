//! What we ask a colony to run. It cannot be built with the values that the server takes and then trips over.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Environment, Filesystem, InvalidField, field,
    limits::{Cpu, GpuRequest, Memory, Retries, TimeLimit},
};

/// A function for an executor of some type to run.
///
/// Starts without arguments, at priority 0, without time limits and with endless retries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionSpec {
    #[serde(rename = "nodename")]
    node_name: String,
    #[serde(rename = "funcname")]
    function: String,
    // What is empty is left out, as the colony's own tool leaves it out: the server then keeps the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    kwargs: Map<String, Value>,
    priority: i32,
    #[serde(rename = "maxwaittime", skip_serializing_if = "Option::is_none")]
    max_wait: Option<TimeLimit>,
    #[serde(rename = "maxexectime")]
    max_exec: TimeLimit,
    #[serde(rename = "maxretries")]
    max_retries: Retries,
    conditions: Conditions,
    label: String,
    env: Environment,
    #[serde(rename = "fs", skip_serializing_if = "Option::is_none")]
    filesystem: Option<Filesystem>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Conditions {
    #[serde(rename = "colonyname")]
    colony: String,
    #[serde(rename = "executornames", skip_serializing_if = "Vec::is_empty")]
    executor_names: Vec<String>,
    #[serde(rename = "executortype")]
    executor_type: String,
    #[serde(rename = "locationname", skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<u8>,
    #[serde(rename = "processespernode", skip_serializing_if = "Option::is_none")]
    processes_per_node: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    #[serde(rename = "mem", skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<GpuRequest>,
    #[serde(rename = "walltime", skip_serializing_if = "Option::is_none")]
    wall_time: Option<u32>,
}

impl FunctionSpec {
    /// The function `function` for an executor of type `executor_type` in `colony`.
    ///
    /// # Errors
    /// When one of the names is empty or holds `:`, white space or control characters.
    pub fn new(colony: &str, executor_type: &str, function: &str) -> Result<Self, InvalidField> {
        if function.is_empty() || function.chars().any(char::is_control) {
            return Err(InvalidField::new(
                "funcname",
                function,
                "give the name of a function, without control characters",
            ));
        }
        Ok(Self {
            node_name: String::new(),
            function: function.to_owned(),
            args: Vec::new(),
            kwargs: Map::new(),
            priority: 0,
            max_wait: Some(TimeLimit::Unlimited),
            max_exec: TimeLimit::Unlimited,
            max_retries: Retries::Endless,
            conditions: Conditions {
                colony: field::name("colonyname", colony)?,
                executor_names: Vec::new(),
                executor_type: field::name("executortype", executor_type)?,
                location: None,
                dependencies: Vec::new(),
                nodes: None,
                processes: None,
                processes_per_node: None,
                cpu: None,
                memory: None,
                storage: None,
                gpu: None,
                wall_time: None,
            },
            label: String::new(),
            env: Environment::default(),
            filesystem: None,
            channels: Vec::new(),
        })
    }

    /// Adds one argument by position.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Adds one argument by name; a second one of the same name replaces the first.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name.into(), value.into());
        self
    }

    /// Adds one environment variable; a second one of the same name replaces the first.
    ///
    /// # Errors
    /// When the name is empty or holds `=` or NUL, or the value holds NUL.
    pub fn env(mut self, name: &str, value: &str) -> Result<Self, InvalidField> {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(InvalidField::new(
                "env",
                name,
                "give a name without `=` and NUL, and a value without NUL",
            ));
        }
        self.env.0.insert(name.to_owned(), value.to_owned());
        Ok(self)
    }

    /// Sets the files that the executor puts in place.
    #[must_use]
    pub fn filesystem(mut self, filesystem: Filesystem) -> Self {
        self.filesystem = Some(filesystem);
        self
    }

    /// Asks for a channel of that name between submitter and executor.
    ///
    /// # Errors
    /// When the name is empty or holds control characters.
    pub fn channel(mut self, name: &str) -> Result<Self, InvalidField> {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(InvalidField::new("channels", name, "give a name, without control characters"));
        }
        self.channels.push(name.to_owned());
        Ok(self)
    }

    /// Sets the label: the one free field by which the server finds processes.
    ///
    /// # Errors
    /// When it is empty (an empty filter finds everything) or holds control characters.
    pub fn label(mut self, label: &str) -> Result<Self, InvalidField> {
        self.label = label_text(label)?;
        Ok(self)
    }

    /// Sets the priority: each unit puts the process one day ahead of those submitted at the same time.
    ///
    /// # Errors
    /// Outside -50000 to 50000, which the server refuses.
    pub fn priority(mut self, priority: i32) -> Result<Self, InvalidField> {
        if !(-50_000..=50_000).contains(&priority) {
            return Err(InvalidField::new("priority", priority, "use -50000 to 50000"));
        }
        self.priority = priority;
        Ok(self)
    }

    /// Sets how long it may wait for an executor before the server fails it.
    #[must_use]
    pub fn max_wait(mut self, limit: TimeLimit) -> Self {
        self.max_wait = Some(limit);
        self
    }

    /// Sets how long one run may take before the server takes it from its executor.
    ///
    /// **Without a limit, nothing rescues a process whose executor died** until the server holds the executor
    /// for stale.
    #[must_use]
    pub fn max_exec(mut self, limit: TimeLimit) -> Self {
        self.max_exec = limit;
        self
    }

    /// Sets how often it is run again after its execution time limit.
    #[must_use]
    pub fn max_retries(mut self, retries: Retries) -> Self {
        self.max_retries = retries;
        self
    }

    /// Asks for an executor of that name; several calls: for one of them. The server does not check that it
    /// exists.
    ///
    /// # Errors
    /// When the name is one that no executor can have.
    pub fn executor_name(mut self, name: &str) -> Result<Self, InvalidField> {
        self.conditions.executor_names.push(field::name("executornames", name)?);
        Ok(self)
    }

    /// Asks for an executor at that location.
    ///
    /// # Errors
    /// When the name is one that no location can have.
    pub fn location(mut self, name: &str) -> Result<Self, InvalidField> {
        self.conditions.location = Some(field::name("locationname", name)?);
        Ok(self)
    }

    /// Names it as a node of a workflow.
    ///
    /// # Errors
    /// When the name is empty or holds `:`, white space or control characters.
    pub fn node_name(mut self, name: &str) -> Result<Self, InvalidField> {
        self.node_name = field::name("nodename", name)?;
        // Of a node the colony's own tool leaves it out, of a process it sends -1; the server waits for ever by both.
        self.max_wait = self.max_wait.filter(|limit| *limit != TimeLimit::Unlimited);
        Ok(self)
    }

    /// Lets it wait, in its workflow, until the node of that name has succeeded; several calls: all of them.
    ///
    /// # Errors
    /// When the name is one that no node can have.
    pub fn depends_on(mut self, node: &str) -> Result<Self, InvalidField> {
        self.conditions.dependencies.push(field::name("dependencies", node)?);
        Ok(self)
    }

    /// Asks for nodes, and for processes on each of them.
    ///
    /// # Errors
    /// When a count is 0, or one of the counts or their product is above 127: such a process is never
    /// assigned.
    pub fn nodes(mut self, nodes: u8, processes_per_node: u8) -> Result<Self, InvalidField> {
        let remedy = "use 1 to 127 nodes and at most 127 processes in all";
        let processes =
            nodes.checked_mul(processes_per_node).filter(|processes| (1..=127).contains(processes));
        let processes = processes.ok_or_else(|| InvalidField::new("nodes", nodes, remedy))?;
        self.conditions.nodes = Some(nodes);
        self.conditions.processes = Some(processes);
        self.conditions.processes_per_node = Some(processes_per_node);
        Ok(self)
    }

    /// Asks for that much CPU.
    #[must_use]
    pub fn cpu(mut self, cpu: Cpu) -> Self {
        self.conditions.cpu = Some(cpu);
        self
    }

    /// Asks for that much memory.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.conditions.memory = Some(memory);
        self
    }

    /// Asks for that much storage.
    #[must_use]
    pub fn storage(mut self, storage: Memory) -> Self {
        self.conditions.storage = Some(storage);
        self
    }

    /// Asks for GPUs.
    #[must_use]
    pub fn gpu(mut self, gpu: GpuRequest) -> Self {
        self.conditions.gpu = Some(gpu);
        self
    }

    /// The expected duration, in seconds.
    #[must_use]
    pub fn wall_time(mut self, seconds: u32) -> Self {
        self.conditions.wall_time = Some(seconds);
        self
    }

    /// The colony that it is for.
    #[must_use]
    pub fn colony(&self) -> &str {
        &self.conditions.colony
    }

    /// The type of executor that it is for.
    #[must_use]
    pub fn executor_type(&self) -> &str {
        &self.conditions.executor_type
    }

    /// The location that it is for, if it is for one.
    #[must_use]
    pub fn location_str(&self) -> Option<&str> {
        self.conditions.location.as_deref()
    }

    /// The function.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The label; empty when none was set.
    #[must_use]
    pub fn label_str(&self) -> &str {
        &self.label
    }

    /// The name as a node of a workflow; empty when none was set.
    #[must_use]
    pub fn node_name_str(&self) -> &str {
        &self.node_name
    }

    /// The nodes of its workflow that it waits for.
    #[must_use]
    pub fn dependencies(&self) -> &[String] {
        &self.conditions.dependencies
    }

    /// The arguments by name.
    #[must_use]
    pub fn kwargs(&self) -> &Map<String, Value> {
        &self.kwargs
    }
}

/// Accepts a label, for a spec or for a query.
pub(super) fn label_text(label: &str) -> Result<String, InvalidField> {
    if label.is_empty() || label.chars().any(char::is_control) {
        return Err(InvalidField::new("label", label, "give a label, without control characters"));
    }
    Ok(label.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Cpu, FunctionSpec, Memory, Retries, TimeLimit};

    fn spec() -> FunctionSpec {
        FunctionSpec::new("dev", "cli", "echo").unwrap()
    }

    fn sent(spec: &FunctionSpec) -> Value {
        serde_json::to_value(spec).unwrap()
    }

    /// A `maxexectime` of 0 gives the server a deadline in the year 1: the process fails as soon as it runs.
    #[test]
    fn limits_are_minus_one_or_positive_and_never_absent() {
        let spec_without_limits = sent(&spec());
        for field in ["maxwaittime", "maxexectime", "maxretries"] {
            assert_eq!(spec_without_limits[field], -1, "{field}");
        }
        assert_eq!(TimeLimit::seconds(0), None);
        let limited =
            spec().max_exec(TimeLimit::seconds(5).unwrap()).max_wait(TimeLimit::seconds(7).unwrap());
        let limited = sent(&limited.max_retries(Retries::AtMost(0)));
        assert_eq!(
            (&limited["maxexectime"], &limited["maxwaittime"], &limited["maxretries"]),
            (&json!(5), &json!(7), &json!(0))
        );
    }

    #[test]
    fn resources_are_sent_in_the_only_spelling_that_the_server_reads_right() {
        let sent = sent(&spec().cpu(Cpu::millicores(500)).memory(Memory::mebibytes(512)));
        assert_eq!(sent["conditions"]["cpu"], "500m");
        assert_eq!(sent["conditions"]["mem"], "512Mi");
    }

    /// More than 127 overflow the server's column of one signed byte: such a process waits for ever.
    #[test]
    fn counts_that_are_never_assigned_cannot_be_asked_for() {
        assert!(spec().nodes(127, 1).is_ok());
        assert!(spec().nodes(2, 63).is_ok());
        for (nodes, each) in [(0, 1), (1, 0), (128, 1), (2, 64), (255, 255)] {
            assert!(spec().nodes(nodes, each).is_err(), "{nodes} x {each}");
        }
    }

    #[test]
    fn names_that_break_listings_and_labels_that_find_everything_are_refused() {
        assert!(FunctionSpec::new("dev", "a:b", "f").is_err());
        assert!(FunctionSpec::new("", "cli", "f").is_err());
        assert!(FunctionSpec::new("dev", "cli", "").is_err());
        assert!(spec().label("").is_err());
        assert!(spec().executor_name("a:b").is_err());
        assert!(spec().location("").is_err());
        assert!(spec().env("A=B", "").is_err());
        assert!(spec().priority(50_001).is_err());
        assert!(spec().priority(-50_000).is_ok());
    }

    #[test]
    fn the_environment_is_sent_but_not_shown() {
        let spec = spec().env("TOKEN", "very-secret").unwrap();
        assert_eq!(sent(&spec)["env"]["TOKEN"], "very-secret");
        let shown = format!("{spec:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("very-secret"), "{shown}");
    }
}
