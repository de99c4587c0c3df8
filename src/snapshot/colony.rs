//! What one pass knows of a `Colony`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{Duplicate, Observed};
use crate::{
    api::{
        colony::Colony,
        names::{ACCEPT_RESET_ANNOTATION, COLONY_FINALIZER},
    },
    colony::model::{Blueprint, BlueprintDefinition, Executor, ServerInfo, Statistics},
};

/// What one pass knows of a `Colony`.
#[derive(Clone, Debug)]
pub struct ColonySnapshot {
    /// The object as applied.
    pub object: Colony,
    /// What the cluster is called in colonies.
    pub cluster: String,
    /// Whether the keys that the user supplied and those that the operator made can be used.
    pub credentials: Credentials,
    /// The server, asked without a key.
    pub server: Observed<ServerInfo>,
    /// Whether the member key is known to the colony.
    pub membership: Membership,
    /// Id of the operator's member; none while there is no key.
    pub member_id: Option<String>,
    /// Whether the colony knows the member as which the operator was connected before, where that is another than now.
    pub knows_earlier_member: Option<bool>,
    pub executors: Observed<Vec<Executor>>,
    /// How many executors run a process; none if that is unknown.
    pub busy_executors: Option<i64>,
    /// The executors as which the operator serves the colony, one for each type; none while no identity is made.
    pub operator_executors: Vec<OperatorExecutor>,
    /// Definitions of blueprints; unknown while the colony cannot be asked.
    pub definitions: Observed<Vec<BlueprintDefinition>>,
    /// Blueprints of fleets.
    pub blueprints: Observed<Vec<Blueprint>>,
    /// Why blueprints at the location of this cluster have no object, by name.
    pub refused_blueprints: BTreeMap<String, String>,
    /// What was found in the colony that no object wants.
    pub leftovers: Leftovers,
    /// Objects of this cluster that are in the colony.
    pub users: Observed<Vec<ColonyUser>>,
    /// The `Colony` that is the default, where this one is marked as that, too, and is not.
    pub other_default: Option<String>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}

/// What a colony has of this installation that no object wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leftovers {
    /// Processes whose object is gone.
    pub processes: Vec<Duplicate>,
    /// Names of executors that were registered for an object that is gone, as is their Secret.
    pub executors: Vec<String>,
    /// UIDs of objects of which a note says that something outlives them, which is over by now.
    pub noted: Vec<String>,
    /// Why nothing is ended for the lack of an object, if so: another installation is heard.
    pub withheld: Option<String>,
    /// The label of an intent that another operator recorded, which works on the same objects, if one does.
    pub other_intent: Option<String>,
    /// Whether more is to be found out soon.
    pub is_open: bool,
}

/// An object that is in the colony of a `Colony`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColonyUser {
    /// Its kind, namespace and name.
    pub object: String,
    /// UID of the `Colony` by which it came into the colony; empty if that is not on record.
    pub colony_uid: String,
}

impl ColonySnapshot {
    /// Whether the operator works in the colony.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.membership, Membership::Member(_)) && self.executors.known().is_some()
    }

    /// Why the colony cannot be asked at the moment, if so.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match &self.membership {
            _ if self.server.known().is_none() => self.server.unknown().map(str::to_owned),
            _ if self.is_doubtful() => {
                Some("it does not know what this cluster has there, or is another: see the Colony".to_owned())
            }
            Membership::Member(_) => self.executors.unknown().map(str::to_owned),
            Membership::Stranger => Some("the operator is not a member of the colony yet".to_owned()),
            Membership::Unknown(why) => Some(why.clone()),
        }
    }

    /// Whether the colony has forgotten what this cluster has there, or may be another. Whatever it does not have may be there no
    /// more than the operator is, or have been there never: nothing follows from it.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        let recorded = self.object.status.as_ref().and_then(|status| status.member.as_ref());
        let uid = self.object.metadata.uid.as_deref().unwrap_or_default();
        let users = self.users.known().map_or(&[][..], Vec::as_slice);
        // A Colony that was created anew for objects of an earlier one may lead anywhere.
        let is_anew = users.iter().any(|user| !user.colony_uid.is_empty() && user.colony_uid != uid);
        match &self.membership {
            Membership::Unknown(_) => false,
            Membership::Stranger => {
                is_anew
                    || recorded
                        .map_or(!users.is_empty(), |recorded| self.member_id.as_ref() == Some(recorded))
            }
            Membership::Member(_) => is_anew || self.knows_earlier_member == Some(false),
        }
    }

    /// Whether nothing may follow from what the colony says, since it is reset and no user has accepted that.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.is_reset() && !self.is_reset_accepted()
    }

    /// Since when the colony is known to be reset; none while it is not.
    #[must_use]
    pub fn reset_at(&self) -> Option<Timestamp> {
        let recorded = self.object.status.as_ref().and_then(|status| status.reset_at.as_ref());
        let recorded = recorded.map(|since| since.0);
        match &self.membership {
            Membership::Unknown(_) => recorded,
            Membership::Stranger | Membership::Member(_) => {
                self.is_reset().then(|| recorded.unwrap_or(self.now))
            }
        }
    }

    /// What the annotation that accepts a reset has to say. It is for this reset alone.
    #[must_use]
    pub fn reset_token(&self) -> String {
        self.reset_at().unwrap_or(self.now).strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// Whether a user has accepted the reset.
    #[must_use]
    pub fn is_reset_accepted(&self) -> bool {
        let accepted = self.object.annotations().get(ACCEPT_RESET_ANNOTATION);
        accepted.is_some_and(|accepted| *accepted == self.reset_token())
    }

    /// Whether the `Colony` is being deleted.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// Whether the operator holds the `Colony`.
    #[must_use]
    pub fn has_finalizer(&self) -> bool {
        self.object.finalizers().iter().any(|finalizer| finalizer == COLONY_FINALIZER)
    }
}

/// Whether there are keys to work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The user's Secret holds an owner key, and the operator's Secret is there.
    Complete,
    /// The user's Secret holds an owner key; the operator has made no keys of its own yet.
    OperatorKeysMissing,
    /// The operator's Secret was made by an earlier version: it lacks the key of an executor.
    ReconcilerKeyMissing,
    /// There is no Secret of that name in the operator's namespace.
    SecretNotFound,
    /// The Secret holds no owner key, or something that is none.
    Invalid {
        /// What is wrong, naming Secret and key.
        problem: String,
    },
    /// The Secrets could not be read.
    Unknown(String),
}

/// The state of the member key in the colony.
#[derive(Clone, Debug, PartialEq)]
pub enum Membership {
    /// It answers a member's question.
    Member(Statistics),
    /// It does not know the key.
    Stranger,
    /// It could not be asked.
    Unknown(String),
}

/// An executor as which the operator serves a colony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorExecutor {
    pub name: String,
    pub id: String,
    /// Its type. An executor has one, hence there are several.
    pub executor_type: &'static str,
}
