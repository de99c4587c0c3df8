//! `colonyos-operator plan -f FILE`: what would be done for the objects in a file, pass by pass, without a server.
//!
//! The file may hold, besides `ExecutorDeployments` and `Colonies`, what there is already: workloads, pods, the Secret of
//! an executor, and processes and executors as the colony describes them (with a `kind` of `Process` or `Executor`).

mod rehearsal;
mod world;

use std::{
    fmt::Write as _,
    fs, io,
    io::{Read as _, Write as _},
    path::PathBuf,
};

use kube::ResourceExt as _;

use super::Failure;
use crate::{
    act::outcome::Outcome,
    controllers::decide,
    runtime::{
        clock::Clock,
        config::{self, OperatorConfiguration},
    },
    status::executor_deployment::compute,
    watch::snapshot::ExecutorDeploymentSnapshot,
};

pub use world::World;

/// After so many passes every plan has come to wait for something outside; more would be a mistake of ours.
const MOST_PASSES: usize = 8;

/// What `plan` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// File with the objects, as YAML or JSON; `-` for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    file: PathBuf,
    /// The operator's configuration file: what it allows
    #[arg(long, value_name = "FILE", env = "COLONYOS_OPERATOR_CONFIG")]
    config: Option<PathBuf>,
    /// Print the status that the first pass would write, too
    #[arg(long)]
    status: bool,
}

/// Prints the plan of every `ExecutorDeployment` in the file.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let text = if arguments.file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        text
    } else {
        fs::read_to_string(&arguments.file)
            .map_err(|error| format!("failed to read {}: {error}", arguments.file.display()))?
    };
    let configuration = config::load(arguments.config.as_deref())?;
    let plans = render(&text, &configuration, Clock::system().now())?;
    let mut stdout = io::stdout().lock();
    for plan in plans {
        write!(stdout, "{}", plan.steps)?;
        if arguments.status {
            write!(stdout, "---\n{}", plan.status)?;
        }
    }
    Ok(())
}

/// The plan of one object, as a person reads it.
#[derive(Debug)]
pub struct Rendered {
    /// The steps of each pass, or why there are none.
    pub steps: String,
    /// The status that the first pass would write, as YAML, if none of its steps had an answer.
    pub status: String,
}

/// Plans every `ExecutorDeployment` in `text`, a stream of YAML documents.
///
/// # Errors
///
/// When the text is no YAML, or an object in it is one that an API server would refuse; names object, field, value and
/// remedy.
pub fn render(
    text: &str,
    configuration: &OperatorConfiguration,
    now: jiff::Timestamp,
) -> Result<Vec<Rendered>, Failure> {
    let world = World::read(text)?;
    if world.objects.is_empty() {
        return Err("there is no ExecutorDeployment in the file: nothing to plan".into());
    }
    world.objects.iter().map(|object| describe(world.snapshot(object, configuration, now))).collect()
}

/// Plans pass after pass, each on the assumption that the one before it has done all that it set out to do, until there is
/// nothing left but to wait for somebody else.
fn describe(mut snapshot: ExecutorDeploymentSnapshot) -> Result<Rendered, Failure> {
    let object = &snapshot.object;
    let mut steps =
        format!("ExecutorDeployment {}/{}\n", object.namespace().unwrap_or_default(), object.name_any());
    let decided = decide(&snapshot);
    let outcome = decided.clone().map(|plan| Outcome { plan, ..Outcome::default() });
    let status = compute(&snapshot, outcome.as_ref());
    let mut next = decided;
    for pass in 1..=MOST_PASSES {
        let plan = match next {
            Ok(plan) => plan,
            Err(problem) => {
                writeln!(steps, "{}: {}", problem.reason.as_str(), problem.message)?;
                break;
            }
        };
        if pass > 1 && plan.is_idle() {
            plan.awaiting.iter().try_for_each(|awaited| writeln!(steps, "then awaiting {awaited}"))?;
            break;
        }
        writeln!(steps, "pass {pass}")?;
        write!(steps, "{plan}")?;
        if plan.is_idle() {
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            ready.into_iter().try_for_each(|ready| writeln!(steps, "    since       {}", ready.message))?;
            break;
        }
        if !rehearsal::assume(&mut snapshot, plan) {
            break;
        }
        next = decide(&snapshot);
    }
    Ok(Rendered { steps, status: serde_norway::to_string(&status)? })
}
