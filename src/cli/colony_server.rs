//! Which colony a command is about that needs no cluster: told by the environment, as the `colonies` command line is.

use clap::Args;

use super::Failure;
use crate::colony::{Client, PrivateKey, Server, Session, Timeouts, Tls};

/// Arguments that lead to a colony.
#[derive(Debug, Args)]
pub(super) struct ColonyServer {
    /// Host of the colony server
    #[arg(
        long = "server-host",
        value_name = "HOST",
        env = "COLONIES_SERVER_HOST",
        default_value = "localhost"
    )]
    pub host: String,
    /// Port of the colony server
    #[arg(long = "server-port", value_name = "PORT", env = "COLONIES_SERVER_PORT", default_value_t = 50080)]
    pub port: u16,
    /// Whether the colony server is reached by TLS: true or false
    #[arg(long = "server-tls", value_name = "BOOL", env = "COLONIES_TLS", default_value = "true", action = clap::ArgAction::Set, value_parser = clap::value_parser!(bool))]
    pub tls: bool,
    /// Name of the colony
    #[arg(long, value_name = "NAME", env = "COLONIES_COLONY_NAME")]
    pub colony: String,
}

impl ColonyServer {
    /// The server.
    pub fn server(&self) -> Server {
        let tls = if self.tls { Tls::Webpki } else { Tls::Insecure };
        Server { host: self.host.clone(), port: self.port, tls }
    }

    /// Calls with the first of these variables that is set.
    pub fn session(&self, keys: &[(&str, &str)]) -> Result<Session, Failure> {
        let (name, key) =
            keys.iter().find_map(|(name, _)| Some((*name, variable(name)?))).ok_or_else(|| {
                let wanted: Vec<String> =
                    keys.iter().map(|(name, whose)| format!("{name} ({whose})")).collect();
                format!("set {} in the environment", wanted.join(" or "))
            })?;
        let key = PrivateKey::from_hex(&key).map_err(|error| format!("failed to read {name}: {error}"))?;
        Ok(Client::new(&self.server(), Timeouts::default())?.session(&self.colony, key))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "keys are told by the environment alone: arguments can be read by every user of the machine"
)]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
