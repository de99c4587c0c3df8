//! The servers under the test: what the ColonyOS server's own database says, and servers that go away and come back.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;

use crate::support::{database::Database, environment::variable, wait::eventually};

/// How long a component may take to be back.
const COMES_BACK: Duration = Duration::from_mins(2);

/// A stack of servers that `cargo xtask` has started on this machine.
pub struct Stack {
    database: Database,
    xtask: Option<String>,
}

/// A process as it stands in the database.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its label.
    pub label: String,
    /// Its state, as the server numbers them.
    pub state: u8,
}

/// An executor as it stands in the database.
#[derive(Clone, Debug)]
pub struct ExecutorRow {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Its state, as the server numbers them.
    pub state: u8,
}

impl Stack {
    /// The stack that the environment names; none when the servers are existing ones.
    pub fn find() -> Option<Self> {
        Some(Self { database: Database::find()?, xtask: variable("XTASK_BIN") })
    }

    /// All processes of a colony, in whatever state.
    pub async fn processes(&self, colony: &str) -> Vec<Row> {
        let query = format!(
            "SELECT label, state FROM prod_processes WHERE target_colony_name = '{colony}' ORDER BY submission_time"
        );
        let rows = self.database.query(&query).await;
        rows.into_iter().map(|row| Row { label: row[0].clone(), state: row[1].parse().unwrap() }).collect()
    }

    /// All executors of a colony that there ever were.
    pub async fn executors(&self, colony: &str) -> Vec<ExecutorRow> {
        let query =
            format!("SELECT name, executor_type, state FROM prod_executors WHERE colony_name = '{colony}'");
        let rows = self.database.query(&query).await;
        rows.into_iter()
            .map(|row| ExecutorRow {
                name: row[0].clone(),
                kind: row[1].clone(),
                state: row[2].parse().unwrap(),
            })
            .collect()
    }

    /// Has everything that is written to processes wait for so many seconds, while they can be read.
    pub async fn lock_processes(&self, seconds: u32) {
        let lock =
            format!("BEGIN; LOCK TABLE prod_processes IN SHARE MODE; SELECT pg_sleep({seconds}); COMMIT;");
        self.database.query(&lock).await;
    }

    /// Hides the processes of an object: the server finds them neither by id nor by label.
    pub async fn hide(&self, colony: &str, uid: &str) {
        let query = format!(
            "UPDATE prod_processes SET process_id = 'hidden-' || process_id, label = 'hidden-' || label \
             WHERE target_colony_name = '{colony}' AND label LIKE '%/{uid}/%'"
        );
        self.database.query(&query).await;
    }

    /// Shows what was hidden of an object.
    pub async fn show(&self, colony: &str, uid: &str) {
        let query = format!(
            "UPDATE prod_processes SET process_id = substr(process_id, 8), label = substr(label, 8) \
             WHERE target_colony_name = '{colony}' AND label LIKE 'hidden-%/{uid}/%'"
        );
        self.database.query(&query).await;
    }

    /// Takes everything out of a colony but the colony itself, which has its key still.
    pub async fn empty(&self, colony: &str) {
        self.move_all(colony, &format!("emptied-{colony}")).await;
    }

    /// Puts back what was taken out of a colony.
    pub async fn fill_again(&self, colony: &str) {
        self.move_all(&format!("emptied-{colony}"), colony).await;
    }

    async fn move_all(&self, from: &str, to: &str) {
        let tables = [
            ("users", "colony_name"),
            ("executors", "colony_name"),
            ("functions", "colony_name"),
            ("blueprints", "colony_name"),
            ("blueprintdefinitions", "colony_name"),
            ("processes", "target_colony_name"),
            ("processgraphs", "target_colony_name"),
            ("attributes", "target_colony_name"),
        ];
        let moved = tables.map(|(table, column)| {
            format!("UPDATE prod_{table} SET {column} = '{to}' WHERE {column} = '{from}';")
        });
        self.database.query(&format!("BEGIN; {} COMMIT;", moved.join(" "))).await;
    }

    /// Waits until the table is locked.
    pub async fn until_locked(&self) {
        let query = "SELECT count(*) FROM pg_locks JOIN pg_class ON relation = pg_class.oid WHERE relname = 'prod_processes' AND mode = 'ShareLock' AND granted";
        eventually("the table is locked", COMES_BACK, async || {
            let rows = self.database.query(query).await;
            (rows[0][0] != "0").then_some(()).ok_or_else(|| "not yet".to_owned())
        })
        .await;
    }

    /// Takes a component away, by `kill -9` or as its administrator would, and brings it back; whether this can be done.
    pub async fn bounce(&self, component: &str, kill: bool) -> bool {
        if self.xtask.is_none() {
            return false;
        }
        let stop = if kill { &["stop", "--kill"][..] } else { &["stop"] };
        assert!(self.ask(stop, component).await, "failed to {stop:?} {component}");
        // The ports of one that was killed may not be free at once.
        eventually(&format!("{component} is back"), COMES_BACK, async || {
            self.ask(&["start"], component).await.then_some(()).ok_or_else(|| "it does not start".to_owned())
        })
        .await;
        true
    }

    async fn ask(&self, command: &[&str], component: &str) -> bool {
        let status = Command::new(self.xtask.as_deref().unwrap_or_default())
            .arg("cluster")
            .args(command)
            .arg(component)
            .arg("--name")
            .arg(self.database.folder.file_name().unwrap())
            .arg("--state")
            .arg(self.database.folder.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        status.await.expect("xtask can be run").success()
    }
}
