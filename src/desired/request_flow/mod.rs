//! From the spec of a `RequestFlow` to a flow that can be followed: expressions compiled, references checked, and for
//! each job what comes after it. Pure; the caller keeps the state of a flow and the time.

mod error;
mod job;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use error::RequestFlowError;
use job::AfterFailure;
pub use job::{CompiledJob, JOBS, REQUEST};

use crate::api::request_flow::{FlowFunction, FlowJob, RequestFlowSpec};

/// How long a retry waits at most.
const LONGEST_BACKOFF: Duration = Duration::from_hours(1);

/// A flow that can be followed.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledFlow {
    active_deadline: Option<Duration>,
    jobs: Vec<CompiledJob>,
    positions: BTreeMap<String, usize>,
}

/// What follows a job that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation<'a> {
    /// The request has failed.
    Stop,
    /// The job is to be run again.
    Retry {
        /// How long to wait before that.
        after: Duration,
    },
    /// The flow continues with another job.
    GoTo(&'a str),
}

impl CompiledFlow {
    /// Compiles a flow.
    ///
    /// # Errors
    /// When an expression is not one or speaks of a job that cannot have run before, or when a field holds what the API
    /// server would refuse.
    pub fn compile(spec: &RequestFlowSpec) -> Result<Self, RequestFlowError> {
        let jobs = spec.jobs.iter().enumerate().map(|(index, job)| CompiledJob::compile(index, job));
        let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
        let mut positions = BTreeMap::new();
        for (index, job) in jobs.iter().enumerate() {
            if positions.insert(job.name.clone(), index).is_some() {
                return Err(RequestFlowError::invalid(
                    format!("spec.jobs[{index}].name"),
                    &job.name,
                    "is the name of an earlier job too: give each job a name of its own",
                ));
            }
        }
        let active_deadline = spec
            .active_deadline_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs);
        let flow = Self { active_deadline, jobs, positions };
        flow.check_jobs()?;
        Ok(flow)
    }

    /// The flow of requests that name none: `JOB1`, then `JOB2`, each a function of the job's name without
    /// arguments.
    ///
    /// # Errors
    /// None that is known: what is compiled is the same each time but for the executor type, which is not looked at.
    pub fn default_flow(executor_type: &str) -> Result<Self, RequestFlowError> {
        Self::of_jobs(&["JOB1".to_owned(), "JOB2".to_owned()], executor_type)
    }

    /// A flow of these jobs, each a function of the job's name without arguments.
    ///
    /// # Errors
    /// When a job has no name, or two have the same.
    pub fn of_jobs(jobs: &[String], executor_type: &str) -> Result<Self, RequestFlowError> {
        Self::compile(&spec_of_jobs(jobs, executor_type))
    }

    /// Whether the flow has jobs to jump to, and every reference one that may have run.
    fn check_jobs(&self) -> Result<(), RequestFlowError> {
        if self.jobs.is_empty() {
            return Err(RequestFlowError::invalid("spec.jobs".to_owned(), "[]", "name at least one job"));
        }
        let before = self.runs_before();
        for (index, job) in self.jobs.iter().enumerate() {
            if let AfterFailure::GoTo { job: target, .. } = &job.after_failure
                && !self.positions.contains_key(target)
            {
                return Err(RequestFlowError::invalid(
                    format!("spec.jobs[{index}].onFailure.job"),
                    target,
                    "is no job of this flow: name one of the list, or add it",
                ));
            }
            let earlier = &before[index];
            for name in job.template.references().members(JOBS) {
                let position = self.positions.get(name);
                if position.is_some_and(|position| earlier.contains(position)) {
                    continue;
                }
                let problem = match position {
                    Some(_) => format!("job {name} never runs before {}", job.name),
                    None => format!("there is no job {name} in this flow"),
                };
                let known: Vec<&str> = earlier.iter().map(|index| self.jobs[*index].name.as_str()).collect();
                let remedy = match known.as_slice() {
                    [] => "refer to the request only: no job runs before this one".to_owned(),
                    known => format!("refer to one of {}", known.join(", ")),
                };
                return Err(RequestFlowError::Expression(job.template.refuse(JOBS, name, &problem, &remedy)));
            }
        }
        Ok(())
    }

    /// For each job, which jobs may have run before it: those from which it is reached over successes and jumps.
    fn runs_before(&self) -> Vec<BTreeSet<usize>> {
        let mut before = vec![BTreeSet::new(); self.jobs.len()];
        for start in 0..self.jobs.len() {
            let mut reached = BTreeSet::new();
            let mut left = self.followers(start);
            while let Some(next) = left.pop() {
                if reached.insert(next) {
                    left.extend(self.followers(next));
                }
            }
            for next in reached {
                before[next].insert(start);
            }
        }
        before
    }

    fn followers(&self, index: usize) -> Vec<usize> {
        let jump = match &self.jobs[index].after_failure {
            AfterFailure::GoTo { job, .. } => self.positions.get(job).copied(),
            AfterFailure::Stop | AfterFailure::Retry { .. } => None,
        };
        let next = Some(index + 1).filter(|next| *next < self.jobs.len());
        next.into_iter().chain(jump).collect()
    }

    /// How long all jobs of a request may take together.
    #[must_use]
    pub const fn active_deadline(&self) -> Option<Duration> {
        self.active_deadline
    }

    /// The jobs in order.
    #[must_use]
    pub fn jobs(&self) -> &[CompiledJob] {
        &self.jobs
    }

    /// The job with which a request begins.
    #[must_use]
    pub fn first(&self) -> Option<&CompiledJob> {
        self.jobs.first()
    }

    #[must_use]
    pub fn job(&self, name: &str) -> Option<&CompiledJob> {
        self.positions.get(name).and_then(|index| self.jobs.get(*index))
    }

    /// Where a job stands, counted from one, and of how many; for `2/3`.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<(usize, usize)> {
        self.positions.get(name).map(|index| (index + 1, self.jobs.len()))
    }

    /// The job that follows one that succeeded; nothing after the last.
    #[must_use]
    pub fn next_after_success(&self, name: &str) -> Option<&CompiledJob> {
        self.positions.get(name).and_then(|index| self.jobs.get(index + 1))
    }

    /// What follows a job that failed. `attempts` is how often it has failed in this request, this time included.
    #[must_use]
    pub fn after_failure(&self, name: &str, attempts: u32) -> Continuation<'_> {
        match self.job(name).map(|job| &job.after_failure) {
            Some(AfterFailure::Retry { max_attempts, backoff }) if attempts < *max_attempts => {
                let doublings = attempts.saturating_sub(1).min(31);
                Continuation::Retry { after: backoff.saturating_mul(1 << doublings).min(LONGEST_BACKOFF) }
            }
            Some(AfterFailure::GoTo { job, max_attempts }) if attempts <= *max_attempts => {
                Continuation::GoTo(job)
            }
            _ => Continuation::Stop,
        }
    }
}

fn spec_of_jobs(jobs: &[String], executor_type: &str) -> RequestFlowSpec {
    let job = |name: &String| FlowJob {
        name: name.clone(),
        function: FlowFunction {
            name: name.clone(),
            executor_type: executor_type.to_owned(),
            ..FlowFunction::default()
        },
        on_failure: None,
    };
    RequestFlowSpec { colony: None, active_deadline_seconds: None, jobs: jobs.iter().map(job).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::api::{condition::Reason, function::FunctionCall, request_flow::RequestFlow};
    use crate::expression::Bindings;

    fn example() -> RequestFlowSpec {
        let flow: RequestFlow =
            serde_norway::from_str(include_str!("../../../examples/request-flow.yaml")).unwrap();
        flow.spec
    }

    fn spec(jobs: Value) -> RequestFlowSpec {
        serde_json::from_value(Value::Object(Map::from_iter([("jobs".to_owned(), jobs)]))).unwrap()
    }

    fn job(name: &str, changes: Value) -> Value {
        let mut job = json!({ "name": name, "function": { "name": "f", "executorType": "t" } });
        let Value::Object(mut changes) = changes else { panic!("{changes}") };
        if let Some(on_failure) = changes.remove("onFailure") {
            job["onFailure"] = on_failure;
        }
        job["function"].as_object_mut().unwrap().extend(changes);
        job
    }

    fn refusal(jobs: Value) -> String {
        CompiledFlow::compile(&spec(jobs)).unwrap_err().to_string()
    }

    fn bindings() -> Bindings {
        let request = json!({"metadata": {"annotations": {"media/source": "s3://a"}}, "spec": {"n": 1}});
        Bindings::from([
            (REQUEST.to_owned(), request),
            (JOBS.to_owned(), json!({"JOB1": {"output": ["h264", {"fps": 25}]}})),
        ])
    }

    #[test]
    fn the_example_is_followed_as_its_comment_says() {
        let flow = CompiledFlow::compile(&example()).unwrap();
        assert_eq!(flow.active_deadline(), Some(Duration::from_hours(2)));
        assert_eq!(flow.first().map(CompiledJob::name), Some("JOB1"));
        let next = |name: &str| flow.next_after_success(name).map(CompiledJob::name);
        assert_eq!((next("JOB1"), next("JOB2"), next("CLEANUP")), (Some("JOB2"), Some("CLEANUP"), None));
        assert_eq!(flow.after_failure("JOB1", 1), Continuation::Stop);
        assert_eq!(flow.after_failure("JOB2", 1), Continuation::GoTo("CLEANUP"));
        assert_eq!(flow.after_failure("JOB2", 2), Continuation::Stop);
        assert_eq!(flow.position("JOB2"), Some((2, 3)));
        assert_eq!((flow.position("JOB4"), next("JOB4")), (None, None));

        let call = flow.job("JOB2").unwrap().render(&bindings()).unwrap();
        let expected: FunctionCall = serde_json::from_value(json!({
            "function": "encode",
            "conditions": {"executorType": "video-encoder"},
            "kwargs": {"source": "s3://a", "profile": "h264"},
            "maxExecTime": "1h",
            "maxRetries": 2,
        }))
        .unwrap();
        assert_eq!(call, expected);
    }

    #[test]
    fn every_field_that_may_hold_expressions_is_rendered() {
        let flow = spec(json!([job(
            "A",
            json!({
                "executorNames": ["e-${request.spec.n}"], "location": "l${request.spec.n}", "args": ["${request.spec}", 2],
                "kwargs": {"deep": [{"n": "${request.spec.n}"}]}, "priority": -1, "maxWaitTime": "1500ms",
            })
        )]));
        let call = CompiledFlow::compile(&flow).unwrap().first().unwrap().render(&bindings()).unwrap();
        assert_eq!(call.conditions.executor_names, ["e-1"]);
        assert_eq!(call.conditions.location.as_deref(), Some("l1"));
        assert_eq!(call.args, [json!({"n": 1}), json!(2)]);
        assert_eq!(Value::Object(call.kwargs), json!({"deep": [{"n": 1}]}));
        assert_eq!((call.priority, call.max_exec_time), (Some(-1), None));
        assert_eq!(call.max_wait_time.unwrap().as_str(), "1500ms");
    }

    /// A process whose conditions hold no name would wait for an executor for ever.
    #[test]
    fn a_name_that_is_no_text_is_an_error() {
        for (field, value, expected) in [
            ("location", json!("${request.spec.n}"), "spec.jobs[0].function.location: 1: this is no name"),
            ("location", json!("${null}"), "spec.jobs[0].function.location: null: this is no name"),
            (
                "executorNames",
                json!(["a", "${''}"]),
                "spec.jobs[0].function.executorNames[1]: \"\": this is no name",
            ),
        ] {
            let flow = CompiledFlow::compile(&spec(json!([job("A", json!({ field: value }))]))).unwrap();
            let error = flow.first().unwrap().render(&bindings()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn retries_wait_twice_as_long_each_time() {
        let retry = |on_failure: Value| {
            CompiledFlow::compile(&spec(json!([job("A", json!({ "onFailure": on_failure }))]))).unwrap()
        };
        let flow = retry(json!({"action": "Retry", "maxAttempts": 100, "backoff": "1m"}));
        let waits: Vec<_> = [1, 2, 3, 7, 99, 100].map(|attempts| flow.after_failure("A", attempts)).into();
        let after = |seconds| Continuation::Retry { after: Duration::from_secs(seconds) };
        assert_eq!(waits, [after(60), after(120), after(240), after(3600), after(3600), Continuation::Stop]);
        let flow = retry(json!({"action": "Retry"}));
        assert_eq!(flow.after_failure("A", 1), after(10));
        assert_eq!(flow.after_failure("A", 2), after(20));
        assert_eq!(flow.after_failure("A", 3), Continuation::Stop);
        assert_eq!(retry(json!({"action": "Stop"})).after_failure("A", 1), Continuation::Stop);
    }

    /// A flow that goes back would otherwise go round for ever.
    #[test]
    fn a_flow_that_goes_back_ends() {
        let back = json!({"action": "GoTo", "job": "A", "maxAttempts": 2});
        let flow = spec(json!([job("A", json!({})), job("B", json!({ "onFailure": back }))]));
        let flow = CompiledFlow::compile(&flow).unwrap();
        let (first, third) = (flow.after_failure("B", 1), flow.after_failure("B", 3));
        assert_eq!(
            (first, flow.after_failure("B", 2), third),
            (Continuation::GoTo("A"), Continuation::GoTo("A"), Continuation::Stop)
        );
    }

    #[test]
    fn a_reference_is_to_a_job_that_may_have_run() {
        let speaks_of = |name: &str, other: &str, on_failure: Option<&str>| {
            let mut changes = json!({ "args": [format!("${{jobs['{other}'].output}}")] });
            if let Some(target) = on_failure {
                changes["onFailure"] = json!({"action": "GoTo", "job": target});
            }
            job(name, changes)
        };
        CompiledFlow::compile(&spec(json!([job("A", json!({})), speaks_of("B", "A", None)]))).unwrap();
        // B is reached from C when that fails.
        CompiledFlow::compile(&spec(json!([
            job("A", json!({})),
            speaks_of("B", "C", None),
            speaks_of("C", "A", Some("B"))
        ])))
        .unwrap();
        for (jobs, expected) in [
            (
                json!([job("A", json!({})), speaks_of("B", "C", None), job("C", json!({}))]),
                "spec.jobs[1].function.args[0]: ${jobs['C'].output}: job C never runs before B: refer to one of A",
            ),
            (
                json!([speaks_of("A", "A", None)]),
                "spec.jobs[0].function.args[0]: ${jobs['A'].output}: job A never runs before A: refer to the request",
            ),
            (
                json!([job("A", json!({})), speaks_of("B", "D", None)]),
                "spec.jobs[1].function.args[0]: ${jobs['D'].output}: there is no job D in this flow: ",
            ),
        ] {
            let message = refusal(jobs);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_with_field_value_and_remedy() {
        for (jobs, expected) in [
            (json!([]), "spec.jobs: []: name at least one job"),
            (
                json!([job("A", json!({})), job("A", json!({}))]),
                "spec.jobs[1].name: A: is the name of an earlier job",
            ),
            (
                json!([job("A", json!({"onFailure": {"action": "GoTo", "job": "B"}}))]),
                "spec.jobs[0].onFailure.job: B: is no job",
            ),
            (
                json!([job("A", json!({"onFailure": {"action": "GoTo"}}))]),
                "spec.jobs[0].onFailure.job: absent: name the job",
            ),
            (
                json!([job("A", json!({"onFailure": {"action": "Retry", "backoff": "soon"}}))]),
                "spec.jobs[0].onFailure.backoff: soon: write",
            ),
            (json!([job("A", json!({"maxExecTime": "1d"}))]), "spec.jobs[0].function.maxExecTime: 1d: write"),
            (
                json!([job("A", json!({"kwargs": {"x": "${self}"}}))]),
                "spec.jobs[0].function.kwargs.x: ${self}: there is no variable self: use one of request, jobs",
            ),
            (json!([job("A", json!({"args": ["a", "${"]}))]), "spec.jobs[0].function.args[1]: ${: "),
        ] {
            let message = refusal(jobs);
            assert!(message.starts_with(expected), "{message}");
        }
        let reason = |jobs| CompiledFlow::compile(&spec(jobs)).unwrap_err().reason();
        assert_eq!(reason(json!([])), Reason::InvalidSpec);
        assert_eq!(reason(json!([job("A", json!({"args": ["${"]}))])), Reason::InvalidExpression);
    }

    #[test]
    fn without_a_flow_there_are_two_jobs() {
        let flow = CompiledFlow::default_flow("worker").unwrap();
        let names: Vec<_> = flow.jobs().iter().map(CompiledJob::name).collect();
        assert_eq!(names, ["JOB1", "JOB2"]);
        let call = flow.job("JOB2").unwrap().render(&bindings()).unwrap();
        assert_eq!((call.function.as_str(), call.conditions.executor_type.as_str()), ("JOB2", "worker"));
        assert_eq!(flow.after_failure("JOB1", 1), Continuation::Stop);
    }
}
