//! What the executor is told by its environment. Never by arguments: those can be read by every user of the
//! machine.

use std::{path::PathBuf, time::Duration};

use colonyos_operator::colony::{PrivateKey, Server, Tls};

/// What the executor is told.
pub struct Settings {
    /// The server to ask for work.
    pub server: Server,
    /// The colony to work for.
    pub colony: String,
    /// The name under which it is registered. For logs: the server knows it by its key.
    pub name: String,
    /// Its key.
    pub key: PrivateKey,
    /// How long one long-poll may last.
    pub poll: Duration,
    /// The file to write when the colony has accepted it.
    pub ready_file: Option<PathBuf>,
}

impl Settings {
    /// Reads them.
    pub fn from_environment() -> Result<Self, String> {
        let tls = match optional("COLONIES_TLS").as_deref() {
            Some("true") => Tls::Webpki,
            None | Some("false") => Tls::Insecure,
            Some(_) => return Err("failed to read COLONIES_TLS: set it to true or false".to_owned()),
        };
        let poll = number("EXECUTOR_POLL_SECONDS", 5)?;
        if !(1..=60).contains(&poll) {
            return Err("failed to read EXECUTOR_POLL_SECONDS: set it to 1 to 60".to_owned());
        }
        let key = PrivateKey::from_hex(&required("COLONIES_PRVKEY")?);
        Ok(Self {
            server: Server {
                host: required("COLONIES_SERVER_HOST")?,
                port: number("COLONIES_SERVER_PORT", 50080)?,
                tls,
            },
            colony: required("COLONIES_COLONY_NAME")?,
            name: required("COLONIES_EXECUTOR_NAME")?,
            key: key.map_err(|error| format!("failed to read COLONIES_PRVKEY: {error}"))?,
            poll: Duration::from_secs(u64::from(poll)),
            ready_file: optional("EXECUTOR_READY_FILE").map(PathBuf::from),
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an executor is told who it is by its environment, and read here alone"
)]
fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> Result<String, String> {
    optional(name).ok_or_else(|| format!("failed to start: set {name} in the environment"))
}

fn number(name: &str, default: u16) -> Result<u16, String> {
    let Some(text) = optional(name) else { return Ok(default) };
    text.parse().map_err(|_| format!("failed to read {name}: set it to a whole number up to 65535"))
}
