//! Memory that is lost: statuses that are gone, rows that the server does not show, and an operator that knows nothing of what another
//! one does beside it.

use std::collections::BTreeSet;

use crate::{
    fleet::Manner,
    stage::Stage,
    support::{cluster::connect_alone, namespace::in_namespace, wait::eventually},
    sweep::{SETTLE, Sweep},
};

/// Objects of each manner to which each of these happens.
const OBJECTS: usize = 4;

/// Apart from the sweep: what never gets ready counts as failed after ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_is_not_done_again() {
    let connection = connect_alone().await;
    in_namespace(&connection, "forgotten", async |namespace| {
        let mut sweep = Sweep::new(Stage::new(namespace).await, "forgotten.txt");
        sweep.fleet.create_batch(2 * OBJECTS, 2 * OBJECTS).await;
        sweep.settle("all are submitted", &BTreeSet::new()).await;
        sweep.forget().await;
        sweep.rest().await;
        sweep.end().await;
    })
    .await;
}

impl Sweep {
    /// None of it makes a second process of anything.
    async fn forget(&mut self) {
        let before = self.count().await;
        self.lose_statuses().await;
        self.note("statuses are lost, and the operator is killed", before.clone()).await;
        let visible = self.count().await;
        self.hide_rows().await;
        self.note("rows are hidden until their work is Lost", visible).await;
        let after = self.count().await;
        assert_eq!(
            (after.on_server, after.collapsed),
            (before.on_server, before.collapsed),
            "what was forgotten is not submitted again"
        );
        self.run_two_operators().await;
    }

    /// As after a restore of the cluster from a backup that holds no statuses, with an operator that remembers nothing.
    async fn lose_statuses(&mut self) {
        for manner in [Manner::Steady, Manner::Stuck] {
            for name in self.some(manner).await {
                self.fleet.lose_status(&name).await;
            }
        }
        self.stage.kill().await;
        self.settle("statuses are as they were", &BTreeSet::new()).await;
        self.say(&format!("{} statuses were lost", 2 * OBJECTS));
    }

    /// Rows that are hidden until their work counts as lost, and come back.
    async fn hide_rows(&self) {
        let Some(stack) = &self.stack else {
            self.say("SKIPPED: no row is hidden, for the servers' database is not accessible");
            return;
        };
        let names = self.some(Manner::Stuck).await;
        let asked = self.fleet.asked();
        for name in &names {
            stack.hide(&self.stage.colony.name, &asked[name].uid).await;
        }
        eventually("their work counts as lost", SETTLE, async || {
            let settled = self.fleet.settled().await?;
            let still: Vec<_> = settled.iter().filter(|(name, _)| names.contains(name)).collect();
            if still.is_empty() { Ok(()) } else { Err(format!("{still:?} are settled")) }
        })
        .await;
        for name in &names {
            stack.show(&self.stage.colony.name, &asked[name].uid).await;
        }
        self.settle("what was hidden is found again", &BTreeSet::new()).await;
        self.say(&format!("the processes of {} objects were hidden", names.len()));
    }

    /// Two operators without an election, as one that was started by hand beside the one that is installed.
    async fn run_two_operators(&mut self) {
        let before = self.count().await;
        let second = self.stage.second().await;
        let scaled = self.some(Manner::Steady).await;
        self.fleet.scale_all(&scaled).await;
        let created = self.fleet.create_batch(15, 5).await;
        self.settle("two operators have come to the same", &BTreeSet::new()).await;
        for name in created.iter().take(OBJECTS).chain(&scaled) {
            self.fleet.delete(name).await;
        }
        self.settle("two operators have let go of the same", &BTreeSet::new()).await;
        drop(second);
        let collapsed = self.count().await.collapsed - before.collapsed;
        self.note("two operators on the same objects", before).await;
        self.say(&format!("two operators shared {} objects: {collapsed} collapsed", created.len() + OBJECTS));
        assert_eq!(collapsed, 0, "processes that two operators submitted for one generation");
    }

    /// Some settled objects that stay in the stock.
    async fn some(&self, manner: Manner) -> Vec<String> {
        let fleet = &self.fleet;
        eventually("there are settled objects", SETTLE, async || {
            let settled = fleet.settled().await?.into_iter().filter(|(_, other)| *other == manner);
            let names: Vec<String> = settled.map(|(name, _)| name).take(OBJECTS).collect();
            (names.len() == OBJECTS).then_some(names).ok_or_else(|| "there are too few".to_owned())
        })
        .await
    }
}
