//! `colonyos-operator plan -f FILE`: what would be done for the objects in files, pass by pass, without a server.
//!
//! Planned are objects of the operator's own kinds, and instances of the kinds that `ResourceDefinitions` define. The stages of the
//! controllers decide, and their actor carries each plan out at the port that records; what a step leaves in the world is
//! said here (`effects`, and `apply` of each kind), so that the next pass can be shown. The files may hold, besides the objects,
//! what there is already: workloads, pods, the Secret of an executor, the CRD of a definition, objects that an instance is made
//! of, runs of a cron, and processes and executors as the colony describes them (with a `kind` of `Process` or `Executor`).

mod call;
mod colony;
mod composition;
mod cron;
mod definition;
mod effects;
mod fleet;
mod instance;
mod kind;
mod manifests;
mod object;
mod own;
mod passes;
mod pod_identities;
mod readiness;
mod rehearsed;
mod rendered;
mod unreadable;

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use kube::ResourceExt as _;

use super::{Failure, output};
use crate::runtime::{
    clock::Clock,
    config::{self, OperatorConfiguration},
};

pub use manifests::Manifests;
pub use rendered::Rendered;

use composition::Rehearsal;
use kind::{Kinds, ManifestKind};
use object::named;

/// Arguments of `plan`.
#[derive(clap::Args)]
pub struct Arguments {
    /// File with objects, as YAML or JSON, or a directory with such files; `-` for standard input. Can be given
    /// several times
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The operator's configuration file, for its allow lists
    #[arg(long, value_name = "FILE", env = "COLONYOS_OPERATOR_CONFIG")]
    config: Option<PathBuf>,
    /// Print the status that the first pass would write, too
    #[arg(long)]
    status: bool,
}

/// A manifest would be refused, or is invalid; the details have been printed.
#[derive(Debug, thiserror::Error)]
#[error("some manifests are invalid")]
pub(super) struct InvalidManifests;

/// Prints the plan of everything in the files.
///
/// # Errors
///
/// [`InvalidManifests`] if a manifest is invalid; anything else if they cannot be read.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let texts = arguments.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let configuration = config::load(arguments.config.as_deref())?;
    let plans = render(&texts.join("\n---\n"), &configuration, Clock::system().now())?;
    let mut text = String::new();
    for plan in &plans {
        text.push_str(&plan.steps);
        if arguments.status && !plan.status.is_empty() {
            text.push_str("---\n");
            text.push_str(&plan.status);
        }
    }
    output::print(&text)?;
    if plans.iter().any(|plan| plan.is_refused) { Err(InvalidManifests.into()) } else { Ok(()) }
}

/// What stands in a file, in all files of a folder, or in standard input.
fn read(file: &Path) -> Result<String, Failure> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    let failed = |error: io::Error| format!("failed to read {}: {error}", file.display());
    if !file.is_dir() {
        return Ok(fs::read_to_string(file).map_err(failed)?);
    }
    let entries = fs::read_dir(file).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| FORMS.contains(&ending))
    });
    paths.sort();
    let texts: Vec<String> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    Ok(texts.join("\n---\n"))
}

/// Endings of the files that are read of a folder, as kubectl has it.
const FORMS: [&str; 3] = ["json", "yaml", "yml"];

/// Plans every definition in `text`, a stream of YAML documents, then every object of another of the operator's kinds, then every
/// instance of a kind that is defined there. What cannot be read, or an API server would refuse, is reported with field, value and
/// remedy, and stops none of the others.
///
/// # Errors
///
/// When there is nothing to plan.
pub fn render(
    text: &str,
    configuration: &OperatorConfiguration,
    now: jiff::Timestamp,
) -> Result<Vec<Rendered>, Failure> {
    let world = Manifests::read(text);
    let (mut plans, kinds) = definition::plans(&world, now)?;
    for object in world.objects.iter().filter(|object| !own::is_refused(&world, &kinds, object)) {
        let text =
            format!("ExecutorDeployment {}/{}\n", object.namespace().unwrap_or_default(), object.name_any());
        plans.push(passes::plan(text, world.snapshot(object, configuration, now))?);
    }
    plans.extend(own::plans(&world, &kinds, configuration, now)?);
    plans.extend(instances(&world, &kinds, now)?);
    for unreadable in &world.unreadable {
        plans.push(own::unreadable(unreadable, &kinds)?);
    }
    if plans.is_empty() {
        return Err("there is no object of a kind of the operator, or of a kind that one of the files defines: nothing to plan".into());
    }
    Ok(plans)
}

/// Plans every instance of a defined kind.
fn instances(world: &Manifests, kinds: &Kinds, now: jiff::Timestamp) -> Result<Vec<Rendered>, Failure> {
    let mut plans = Vec::new();
    let mut rehearsal = Rehearsal::new(world, kinds, now);
    for object in &world.others {
        let kind = match kinds.of(object) {
            ManifestKind::Instance(kind) => kind,
            ManifestKind::OfInvalidDefinition => {
                let steps =
                    format!("{}\nwaits for its definition, which is invalid: see above\n", named(object));
                plans.push(Rendered { steps, status: String::new(), is_refused: true });
                continue;
            }
            ManifestKind::Other => continue,
        };
        plans.extend(rehearsal.instance(object, kind)?);
    }
    Ok(plans)
}
