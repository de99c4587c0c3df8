//! An executor: an identity of some type that takes processes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Id, InvalidField, field, null_is_empty, timestamp};

/// Where an executor stands. The numbers are the protocol's.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Deserialize,
    strum::Display,
    strum::FromRepr,
    strum::IntoStaticStr,
)]
#[serde(try_from = "i64")]
#[repr(u8)]
pub enum ExecutorState {
    /// 0: added, not approved; it may take nothing.
    Pending,
    /// 1: may take processes.
    Approved,
    /// 2: rejected by the owner. A long-poll that already waits may still win a process.
    Rejected,
    /// 3: removed, or held for stale by the server. Its name is used up for good.
    Unregistered,
}

impl ExecutorState {
    /// The state as one word, as the variant is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl TryFrom<i64> for ExecutorState {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let known = u8::try_from(number).ok().and_then(Self::from_repr);
        known.ok_or_else(|| format!("{number} is no state of an executor (0 to 3)"))
    }
}

/// An executor as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Executor {
    /// The identity of its key.
    #[serde(rename = "executorid")]
    pub id: Id,
    /// Its name, unique in the colony for all time.
    #[serde(rename = "executorname")]
    pub name: String,
    /// Its type: what function specs ask for.
    #[serde(rename = "executortype")]
    pub executor_type: String,
    /// Its colony.
    #[serde(rename = "colonyname")]
    pub colony: String,
    /// Where it stands.
    pub state: ExecutorState,
    /// Its location; empty when it has none.
    #[serde(rename = "locationname", default)]
    pub location: String,
    /// When it was added.
    #[serde(rename = "commissiontime", deserialize_with = "timestamp::optional")]
    pub added_at: Option<Timestamp>,
    /// When it last asked for work. Nothing else counts as a sign of life.
    #[serde(rename = "lastheardfromtime", deserialize_with = "timestamp::optional")]
    pub last_heard_at: Option<Timestamp>,
    /// The blueprint it was made for; empty when there is none.
    #[serde(rename = "blueprintid", default)]
    pub blueprint_id: String,
    /// The generation of that blueprint.
    #[serde(rename = "blueprintgen", default)]
    pub blueprint_generation: i64,
    /// What it says of itself. The server assigns processes without regard to it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub capabilities: Capabilities,
}

/// What an executor says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Capabilities {
    /// Its machines; more than one where it works on several systems.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub hardware: Vec<Hardware>,
    /// Its programs.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub software: Vec<Software>,
}

/// A program of an executor, in its own words: of no meaning to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// What sort of program it is.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Which version of it.
    #[serde(default)]
    pub version: String,
}

/// Machines of an executor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Hardware {
    /// How many there are; 0 where it does not say.
    #[serde(default)]
    pub nodes: i64,
}

/// An executor to be added. Needs approval before it may take processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewExecutor {
    #[serde(rename = "executorid")]
    id: Id,
    #[serde(rename = "executortype")]
    executor_type: String,
    #[serde(rename = "executorname")]
    name: String,
    #[serde(rename = "colonyname")]
    colony: String,
    #[serde(rename = "locationname", skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(rename = "blueprintid", skip_serializing_if = "Option::is_none")]
    blueprint_id: Option<String>,
    #[serde(rename = "blueprintgen", skip_serializing_if = "Option::is_none")]
    blueprint_generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<NewCapabilities>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct NewCapabilities {
    software: Vec<Software>,
}

impl NewExecutor {
    /// The identity `id` as executor `name` of type `executor_type` in `colony`.
    ///
    /// **Use a fresh key and a fresh name each time**: names are used up for good, and approving one of two
    /// executors that share an identity approves both.
    ///
    /// # Errors
    /// When one of the names is empty or holds `:`, white space or control characters.
    pub fn new(colony: &str, name: &str, executor_type: &str, id: Id) -> Result<Self, InvalidField> {
        Ok(Self {
            id,
            executor_type: field::name("executortype", executor_type)?,
            name: field::name("executorname", name)?,
            colony: field::name("colonyname", colony)?,
            location: None,
            blueprint_id: None,
            blueprint_generation: None,
            capabilities: None,
        })
    }

    /// Sets where it is.
    ///
    /// # Errors
    /// When the name is one that no location can have.
    pub fn location(mut self, name: &str) -> Result<Self, InvalidField> {
        self.location = Some(field::name("locationname", name)?);
        Ok(self)
    }

    /// Marks it as made for a blueprint, at a generation of it.
    #[must_use]
    pub fn blueprint(mut self, id: &str, generation: i64) -> Self {
        self.blueprint_id = Some(id.to_owned());
        self.blueprint_generation = Some(generation);
        self
    }

    /// Says which programs it has.
    #[must_use]
    pub fn software(mut self, software: Vec<Software>) -> Self {
        self.capabilities = Some(NewCapabilities { software });
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The identity of its key.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }
}
