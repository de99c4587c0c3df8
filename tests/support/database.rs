//! What the ColonyOS server's own database says, where `cargo xtask` has started it on this machine.

use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;

use super::environment::variable;

/// The database of the stack that the environment names.
pub struct Database {
    /// Where the stack keeps its state.
    pub folder: PathBuf,
    port: u64,
}

impl Database {
    /// The database; none when the servers are existing ones.
    pub fn find() -> Option<Self> {
        let folder = PathBuf::from(variable("COLONIES_STACK_STATE")?);
        let record = std::fs::read_to_string(folder.join("stack.json")).expect("the stack has a record");
        let record: Value = serde_json::from_str(&record).unwrap();
        if record["ownColony"] != true {
            return None;
        }
        // As `xtask/src/cluster/stack.rs` lays the ports out.
        let port = record["portBase"].as_u64().unwrap() + 7;
        Some(Self { folder, port })
    }

    /// What a query gives, by row and column.
    pub async fn query(&self, query: &str) -> Vec<Vec<String>> {
        let port = self.port.to_string();
        let output = Command::new("psql")
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "postgres"])
            .args(["--no-psqlrc", "--no-align", "--tuples-only", "--field-separator=\t", "-c", query])
            .output()
            .await
            .expect("psql is installed with PostgreSQL");
        assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }
}
