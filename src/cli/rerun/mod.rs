//! `colonyos-operator rerun KIND/NAME`: runs a finished process, workflow or request again, as a new object of the same spec that
//! names the first in an annotation. The first stays as it is.

mod again;

use clap::Args;
use serde_json::Value;
use tokio::runtime::Runtime;

use self::again::again;
use super::{
    Failure,
    connection::Connection,
    create::{Created, create, reference},
    explain::facts::Facts,
    output::Output,
    served::{ServedKind, kind_and_name},
};
use crate::api::{
    kind::{HasKind as _, Kind},
    names::RERUN_ANNOTATION,
    request_flow::RequestFlow,
};

/// Arguments of `rerun`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The finished object: `colonyprocess/NAME`, `colonyworkflow/NAME` or `requeststate/NAME`
    #[arg(value_name = "KIND/NAME")]
    object: String,
    #[command(flatten)]
    connection: Connection,
    /// Run it once more although an earlier rerun of it has not finished
    #[arg(long)]
    another: bool,
    /// Form of the output: `json` and `yaml` are the new object
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Creates an object that runs again what another has run.
///
/// # Errors
///
/// When there is none afterwards; why.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    Runtime::new()?.block_on(rerun(arguments))?.print(arguments.output)
}

async fn rerun(arguments: &Arguments) -> Result<Created, Failure> {
    let (kind, name) = kind_and_name(&arguments.object)?;
    let kubernetes = arguments.connection.connect().await?;
    let served = ServedKind::called(&kubernetes, kind).await?;
    let object = served.get(&kubernetes, name).await?;
    let mut facts = Facts { object, definition: served.definition.clone(), ..Facts::default() };
    if let Some(flow) = facts.flow_name().map(str::to_owned) {
        let flows = ServedKind::called(&kubernetes, RequestFlow::KIND.name()).await?;
        facts.flow = serde_json::from_value(flows.get(&kubernetes, &flow).await?).ok();
    }
    let others = match facts.kind() {
        Kind::ColonyProcess | Kind::ColonyWorkflow | Kind::RequestState => {
            served.list(&kubernetes, Some(&kubernetes.namespace), None).await?
        }
        _ => Vec::new(),
    };
    let object = again(&facts, &others)?;
    if let Some(open) = open_rerun(&facts, &others).filter(|_| !arguments.another) {
        return Err(format!(
            "{} runs it again already and has not finished: wait for it, cancel it, or run it once more with --another",
            reference(open)
        )
        .into());
    }
    create(&kubernetes, &served, object, RERUN_ANNOTATION).await
}

/// A rerun of an object that has not finished.
fn open_rerun<'o>(facts: &Facts, others: &'o [Value]) -> Option<&'o Value> {
    others.iter().find(|other| {
        let other = Facts { object: (*other).clone(), ..Facts::default() };
        other.annotation(RERUN_ANNOTATION) == facts.text("/metadata/name")
            && !other.is_over()
            && other.text("/metadata/deletionTimestamp").is_empty()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The same command typed twice is one wish.
    #[test]
    fn a_rerun_that_has_not_finished_is_found() {
        let object = |name: &str, of: &str, finished: &str| {
            json!({
                "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
                "metadata": { "name": name, "annotations": { "colonies.io/rerun-of": of } },
                "status": { "conditions": [{ "type": "Finished", "status": finished, "reason": "R", "message": "",
                                             "lastTransitionTime": "2026-11-21T10:00:00Z" }] },
            })
        };
        let facts = Facts { object: object("encode", "", "True"), ..Facts::default() };
        let done = object("encode-rerun-1", "encode", "True");
        let open = object("encode-rerun-2", "encode", "False");
        let of_another = object("other-rerun-1", "other", "False");
        assert_eq!(open_rerun(&facts, &[of_another.clone(), done.clone()]), None);
        assert_eq!(open_rerun(&facts, &[of_another, done, open.clone()]), Some(&open));
        let mut leaving = open;
        leaving["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
        assert_eq!(open_rerun(&facts, &[leaving]), None);
    }
}
