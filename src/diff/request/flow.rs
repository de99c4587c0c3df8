//! Which job comes after which.

use std::{fmt, str::FromStr};

use super::{Turn, turn};
use crate::api::request_state::{Position, State};

/// Longest name of a job, as in the schema.
const LONGEST_NAME: usize = 253;

/// Jobs in their order. A job that has failed ends the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    jobs: Vec<String>,
}

/// A text that is no flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFlow {
    /// There is no job in it.
    #[error("flow {0:?} names no job: give jobs in their order, such as JOB1,JOB2")]
    Empty(String),
    /// A name cannot stand in an object.
    #[error("flow {flow:?} has a job of {length} characters: 253 are allowed")]
    TooLong {
        /// The text.
        flow: String,
        /// Length of the name.
        length: usize,
    },
    /// A job stands in it twice, so that its successor is not known.
    #[error("flow {flow:?} has job {job} twice: give each job a name of its own")]
    ScheduledKind {
        /// The text.
        flow: String,
        job: String,
    },
}

impl FromStr for Flow {
    type Err = InvalidFlow;

    /// Reads jobs that are separated by commas.
    fn from_str(text: &str) -> Result<Self, InvalidFlow> {
        let mut jobs: Vec<String> = Vec::new();
        for job in text.split(',').map(str::trim).filter(|job| !job.is_empty()) {
            let length = job.chars().count();
            if length > LONGEST_NAME {
                return Err(InvalidFlow::TooLong { flow: text.to_owned(), length });
            }
            if jobs.iter().any(|earlier| earlier == job) {
                return Err(InvalidFlow::ScheduledKind { flow: text.to_owned(), job: job.to_owned() });
            }
            jobs.push(job.to_owned());
        }
        if jobs.is_empty() { Err(InvalidFlow::Empty(text.to_owned())) } else { Ok(Self { jobs }) }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.jobs.join(","))
    }
}

/// Whether a text lists jobs: a single name is that of a `RequestFlow`.
#[must_use]
pub fn lists_jobs(text: &str) -> bool {
    text.contains(',')
}

impl Flow {
    /// The jobs in their order.
    #[must_use]
    pub fn jobs(&self) -> &[String] {
        &self.jobs
    }

    /// These jobs in this order; of a name that stands in it twice, the first place counts.
    #[must_use]
    pub const fn of(jobs: Vec<String>) -> Self {
        Self { jobs }
    }

    /// The job that a request begins with.
    #[must_use]
    pub fn first(&self) -> &str {
        self.jobs.first().map_or("", String::as_str)
    }

    /// What is to be requested once a request is at `position`, if anything is.
    #[must_use]
    pub fn next(&self, position: &Position) -> Option<&str> {
        let index = self.index(&position.job)?;
        if position.state == State::Completed { self.jobs.get(index + 1).map(String::as_str) } else { None }
    }

    /// Whose turn it is at `position`. For a job outside of this flow, only its own director knows whether another
    /// follows.
    #[must_use]
    pub fn turn(&self, position: &Position) -> Turn {
        turn(position.state, self.next(position).is_some() || !self.contains(&position.job))
    }

    /// Which of how many jobs this one is, such as `1/2`.
    #[must_use]
    pub fn progress(&self, job: &str) -> Option<String> {
        self.index(job).map(|index| format!("{}/{}", index + 1, self.jobs.len()))
    }

    /// The jobs that lie between two of them.
    #[must_use]
    pub fn between(&self, from: &str, to: &str) -> &[String] {
        match (self.index(from), self.index(to)) {
            (Some(from), Some(to)) => self.jobs.get(from + 1..to).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Whether a job stands in it.
    #[must_use]
    pub fn contains(&self, job: &str) -> bool {
        self.index(job).is_some()
    }

    fn index(&self, job: &str) -> Option<usize> {
        self.jobs.iter().position(|known| known == job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_says_what_comes_next_and_where_a_job_stands() {
        let flow: Flow = "JOB1, JOB2,JOB3".parse().unwrap();
        assert_eq!(flow.to_string(), "JOB1,JOB2,JOB3");
        assert_eq!(flow.next(&Position::new("JOB1", State::Completed)), Some("JOB2"));
        assert_eq!(flow.next(&Position::new("JOB1", State::Failed)), None);
        assert_eq!(flow.next(&Position::new("JOB3", State::Completed)), None);
        assert_eq!(flow.next(&Position::new("elsewhere", State::Completed)), None);
        assert_eq!(flow.turn(&Position::new("JOB3", State::Completed)), Turn::Finished);
        assert_eq!(flow.turn(&Position::new("elsewhere", State::Completed)), Turn::Director);
        assert_eq!(flow.turn(&Position::new("elsewhere", State::Requested)), Turn::Worker);
        assert_eq!(flow.turn(&Position::new("elsewhere", State::Cancelled)), Turn::Finished);
        assert_eq!(flow.progress("JOB2").as_deref(), Some("2/3"));
        assert_eq!(flow.between("JOB1", "JOB3"), ["JOB2"]);
        assert_eq!(flow.between("JOB3", "JOB1"), [""; 0]);
        assert_eq!("only,".parse::<Flow>().unwrap().first(), "only");
    }

    #[test]
    fn a_flow_that_leads_nowhere_is_refused_with_the_remedy() {
        for (text, remedy) in [("", "JOB1,JOB2"), (" , ", "JOB1,JOB2"), ("a,b,a", "name of its own")] {
            let error = text.parse::<Flow>().unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
