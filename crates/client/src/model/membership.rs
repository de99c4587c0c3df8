//! Colonies and the people in them.

use serde::{Deserialize, Serialize};

use super::{Id, InvalidField, field};

/// A colony as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Colony {
    /// The identity of its owner's key.
    #[serde(rename = "colonyid")]
    pub id: Id,
    /// Its name, unique on the server.
    pub name: String,
}

/// A colony to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewColony {
    #[serde(rename = "colonyid")]
    id: Id,
    name: String,
}

impl NewColony {
    /// The colony `name`, owned by the key with identity `id`.
    ///
    /// # Errors
    /// When the name is empty or holds `:`, white space or control characters.
    pub fn new(name: &str, id: Id) -> Result<Self, InvalidField> {
        Ok(Self { id, name: field::name("name", name)? })
    }
}

/// A user as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The identity of the user's key.
    #[serde(rename = "userid")]
    pub id: Id,
    /// The user's name, unique in the colony.
    pub name: String,
    /// The user's colony.
    #[serde(rename = "colonyname")]
    pub colony: String,
}

/// A user to be added: a member who submits, lists and cancels, but takes no processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewUser {
    #[serde(rename = "colonyname")]
    colony: String,
    #[serde(rename = "userid")]
    id: Id,
    name: String,
    email: String,
    phone: String,
}

impl NewUser {
    /// The identity `id` as user `name` of `colony`.
    ///
    /// # Errors
    /// When one of the names is empty or holds `:`, white space or control characters.
    pub fn new(colony: &str, name: &str, id: Id) -> Result<Self, InvalidField> {
        let colony = field::name("colonyname", colony)?;
        Ok(Self { colony, id, name: field::name("name", name)?, email: String::new(), phone: String::new() })
    }
}
