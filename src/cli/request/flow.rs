//! `--flow`: jobs in their order, or the name of a `RequestFlow`.

use jiff::Timestamp;
use kube::{Api, Client};

use crate::{
    api::{
        request_flow::RequestFlow,
        request_state::{Position, RequestState},
    },
    desired::request_flow::{CompiledFlow, CompiledJob},
    diff::request::{Flow, Next, lists_jobs, next},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
};

/// The value of `--flow`.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// Jobs, separated by commas.
    Jobs(Flow),
    /// The name of a `RequestFlow`.
    Name(String),
}

/// Reads the value of `--flow`.
pub(super) fn read(text: &str) -> Result<Choice, String> {
    if lists_jobs(text) {
        let jobs: Result<Flow, crate::diff::request::InvalidFlow> = text.parse();
        return jobs.map(Choice::Jobs).map_err(|error| error.to_string());
    }
    let is_name = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    if is_name {
        Ok(Choice::Name(text.to_owned()))
    } else {
        Err(format!(
            "{text:?} is not the name of a RequestFlow: give one, or jobs in their order, such as JOB1,JOB2; a single job is {text}, with the comma"
        ))
    }
}

/// The jobs that a request goes through, and what follows each.
#[derive(Clone, Debug)]
pub(super) enum JobSequence {
    /// One after the other; a job that fails ends it.
    Jobs(Flow),
    /// As defined by a `RequestFlow`.
    Named {
        /// Its name.
        name: String,
        /// What it says.
        flow: Box<CompiledFlow>,
    },
}

impl Choice {
    /// Looks a `RequestFlow` up.
    pub(super) async fn course(self, client: &Client, namespace: &str) -> Result<JobSequence, String> {
        let name = match self {
            Self::Jobs(flow) => return Ok(JobSequence::Jobs(flow)),
            Self::Name(name) => name,
        };
        let flows: Api<RequestFlow> = Api::namespaced(client.clone(), namespace);
        let found = call(CALL_TIME_LIMIT, flows.get_opt(&name)).await;
        let found = found
            .map_err(|error| error.explain(&format!("get RequestFlow {name} in namespace {namespace}")))?;
        let object = found.ok_or_else(|| {
            format!(
                "there is no RequestFlow {name} in namespace {namespace}: create it, or give jobs in their order, such as JOB1,JOB2"
            )
        })?;
        let flow = CompiledFlow::compile(&object.spec)
            .map_err(|error| format!("RequestFlow {name} cannot be followed: {error}"))?;
        Ok(JobSequence::Named { name, flow: Box::new(flow) })
    }
}

impl JobSequence {
    /// The job with which a request begins.
    pub(super) fn first(&self) -> &str {
        match self {
            Self::Jobs(flow) => flow.first(),
            Self::Named { flow, .. } => flow.first().map_or("", CompiledJob::name),
        }
    }

    /// The jobs in their order.
    pub(super) fn jobs(&self) -> Flow {
        match self {
            Self::Jobs(flow) => flow.clone(),
            Self::Named { flow, .. } => {
                Flow::of(flow.jobs().iter().map(|job| job.name().to_owned()).collect())
            }
        }
    }

    /// How an object selects this flow.
    pub(super) fn annotation(&self) -> String {
        match self {
            Self::Jobs(flow) => flow.to_string(),
            Self::Named { name, .. } => name.clone(),
        }
    }

    /// What follows where a request is.
    pub(super) fn next(&self, object: &RequestState, now: Timestamp) -> Next {
        match self {
            Self::Jobs(flow) => {
                let job = flow.next(&Position::of(object)).map(str::to_owned);
                Next { job, not_before: None }
            }
            Self::Named { flow, .. } => next(object, flow, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_from_a_name_by_their_comma() {
        assert!(matches!(read("A,").unwrap(), Choice::Jobs(flow) if flow.first() == "A"));
        assert!(matches!(read("transcode").unwrap(), Choice::Name(name) if name == "transcode"));
        assert!(read("JOB1").unwrap_err().contains("JOB1, with the comma"));
        assert!(read("a,b,a").unwrap_err().contains("name of its own"));
    }
}
