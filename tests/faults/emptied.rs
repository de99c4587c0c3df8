//! A colony that was emptied, with the same keys: nothing is believed to be gone because it no longer has it.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use crate::{
    fleet::Fleet,
    ledger::tally,
    report::{Befallen, of_befallen},
    stack::Stack,
    stage::Stage,
    support::{cluster::connect_alone, namespace::in_namespace, object::until, wait::throughout},
    sweep::SETTLE,
};
use colonyos_operator::api::{colony::Colony, condition::Reason, executor_deployment::ExecutorDeployment};
use kube::{Api, api::ListParams};

/// For how long nothing may happen: several rounds of everything that the operator asks a colony for.
const QUIET: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_colony_takes_nothing_away() {
    let Some(stack) = Stack::find() else {
        println!("SKIPPED: no colony is emptied, for the servers' database is not accessible");
        return;
    };
    let connection = connect_alone().await;
    in_namespace(&connection, "emptied", async |namespace| {
        let mut stage = Stage::new(namespace).await;
        let (colony, colonies) = (stage.colony.name.clone(), Api::<Colony>::all(connection.calls.clone()));
        let fleets: Api<ExecutorDeployment> = stage.namespace.api();
        let fleet = Fleet::new(&stage);
        fleet.create_batch(2, 2).await;
        fleet.settle("all are submitted", SETTLE, &BTreeSet::new()).await;
        let before = fleets.list(&ListParams::default()).await.unwrap().items.len();
        assert_eq!(before, 4);
        let asked = fleet.asked();
        let first = tally(&asked, &stack.processes(&colony).await, |_| true);

        stack.empty(&colony).await;
        for is_restarted in [false, true] {
            if is_restarted {
                // One that remembers nothing.
                stage.kill().await;
            }
            until(&colonies, &colony, "tells that it was reset", |colony: &Colony| {
                let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
                conditions.iter().any(|condition| condition.reason == Reason::ColonyReset.as_str())
            })
            .await;
            throughout("nothing is taken away, and nothing submitted", QUIET, async || {
                let there = fleets.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
                let stay = there.iter().filter(|one| one.metadata.deletion_timestamp.is_none()).count();
                let submitted = stack.processes(&colony).await.len();
                if (stay, submitted) == (before, 0) {
                    return Ok(());
                }
                Err(format!("{stay} of {before} fleets stay, and {submitted} processes were submitted"))
            })
            .await;
        }

        stack.fill_again(&colony).await;
        stage.colony.wait_until_ready().await;
        fleet.settle("what was emptied is there again", SETTLE, &BTreeSet::new()).await;
        let after = tally(&asked, &stack.processes(&colony).await, |_| true);
        let gone = fleet.deleted_by_mistake().await;
        let fault = "the colony is emptied, with the same keys".to_owned();
        let counted = [first.clone(), after.clone()];
        let table = of_befallen(&[Befallen { fault, objects: before, counted, deleted: gone.len() }]);
        fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("emptied.txt"), &table).unwrap();
        println!("\n{table}");
        assert_eq!((after, gone), (first, Vec::new()));
    })
    .await;
}
