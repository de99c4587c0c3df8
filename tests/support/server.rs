//! The ColonyOS server that the environment names.

use colonyos_operator::colony::{Server, Tls};
use rand::Rng as _;

use super::environment;

/// Eight letters by chance. Letters alone: the server mixes up types and names that differ by digits at their end.
pub fn letters() -> String {
    let mut chance = rand::rng();
    (0..8).map(|_| char::from(chance.random_range(b'a'..=b'z'))).collect()
}

/// The server that the environment names.
pub fn server() -> Server {
    let is_plain = setting("COLONIES_TLS") != "true";
    let tls = if is_plain { Tls::Insecure } else { Tls::Webpki };
    Server {
        host: setting("COLONIES_SERVER_HOST"),
        port: setting("COLONIES_SERVER_PORT").parse().unwrap(),
        tls,
    }
}

/// A setting that `cargo xtask test` gives.
pub fn setting(name: &str) -> String {
    environment::variable(name).unwrap_or_else(|| {
        panic!(
            "{name} is not set, and these tests need a ColonyOS server.\n\
             Run `cargo xtask test`, which starts one, or `eval \"$(cargo xtask cluster env)\"` first."
        )
    })
}
