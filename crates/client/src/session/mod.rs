//! One identity in one colony, and the calls it can make.
//!
//! Which calls the server allows depends on whose key it is: `member` (users and approved executors),
//! `executor`, `owner` (of the colony; **not a member**, it can submit nothing), and the server's owner
//! for [`Session::add_colony`]. `workflow` and `blueprint` are what members do, too, each with its own words.

mod blueprint;
mod executor;
mod member;
mod owner;
mod workflow;

use std::{fmt, sync::Arc};

use super::{client::Client, error::Error, model::Id, sign::PrivateKey, wire::Call};

/// One identity in one colony. Cheap to clone: clones share the key and the connections.
#[derive(Clone)]
pub struct Session {
    pub(super) client: Client,
    pub(super) colony: Arc<str>,
    pub(super) key: Arc<PrivateKey>,
}

impl Client {
    /// The calls that the holder of `key` can make in `colony`.
    #[must_use]
    pub fn session(&self, colony: &str, key: PrivateKey) -> Session {
        Session { client: self.clone(), colony: colony.into(), key: Arc::new(key) }
    }
}

impl Session {
    /// The identity.
    #[must_use]
    pub fn id(&self) -> &Id {
        self.key.id()
    }

    /// The colony.
    #[must_use]
    pub fn colony(&self) -> &str {
        &self.colony
    }

    /// The client of the server.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn call<C: Call>(&self, call: &C) -> Result<C::Reply, Error> {
        self.client.call(call, Some(&self.key), self.client.timeouts().request).await
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Session");
        shown.field("colony", &self.colony).field("id", self.id()).finish_non_exhaustive()
    }
}
