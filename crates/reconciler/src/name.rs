//! Names from blueprints and from the colony, parsed once. Pure.
//!
//! A replica's name is that of its executor: `FLEET-SLOT-LIFE`. The server gives a name out once and never again, so of
//! all reconcilers that want a slot's next life, one gets it.

use std::fmt;

/// Longest name of a fleet: with slot and life it has to fit into the name of a container and of an executor.
const FLEET_MAX: usize = 200;
/// Longest text of a value that a refusal quotes.
const QUOTED: usize = 80;

/// The name of a fleet: of a blueprint that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FleetName(String);

impl FleetName {
    /// Parses the name of a blueprint.
    ///
    /// # Errors
    /// When no container can be named after it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let first = text.chars().next().is_some_and(|first| first.is_ascii_alphanumeric());
        let rest = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
        if first && rest && text.len() <= FLEET_MAX {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "metadata.name: {}: use at most {FLEET_MAX} letters, digits, `-`, `_` and `.`, of which the first is a \
             letter or a digit",
            quoted(text)
        ))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FleetName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The name of one life of a slot of a fleet, which is also the name of its executor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaName {
    /// The fleet.
    pub fleet: FleetName,
    /// The place in the fleet, counted from 0.
    pub slot: u32,
    /// Counts the executors that the slot has had, from 1.
    pub life: u64,
}

impl ReplicaName {
    /// Parses the name of an executor; `None` when it is not named like a replica.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, life) = text.rsplit_once('-')?;
        let (fleet, slot) = rest.rsplit_once('-')?;
        let name =
            Self { fleet: FleetName::parse(fleet).ok()?, slot: slot.parse().ok()?, life: life.parse().ok()? };
        // Not `+1` or `01`, which are other names.
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}-{}", self.fleet, self.slot, self.life)
    }
}

/// A value as a refusal quotes it: short, and without control characters.
#[must_use]
pub fn quoted(value: impl fmt::Display) -> String {
    let text = value.to_string();
    let shown: String = text.chars().filter(|letter| !letter.is_control()).take(QUOTED).collect();
    if text.chars().count() > QUOTED { format!("{shown:?}…") } else { format!("{shown:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_replica_is_read_back_as_it_was_written() {
        for (text, fleet, slot, life) in
            [("ml-0-1", "ml", 0, 1), ("a-1-2-3", "a-1", 2, 3), ("x.y_z-10-77", "x.y_z", 10, 77)]
        {
            let name = ReplicaName::parse(text).unwrap();
            assert_eq!((name.fleet.as_str(), name.slot, name.life), (fleet, slot, life));
            assert_eq!(name.to_string(), text);
        }
        for other in
            ["ml", "ml-1", "ml-0-x", "ml-01-1", "ml-+1-1", "-0-1", "a b-0-1", "ml-0-99999999999999999999999"]
        {
            assert_eq!(ReplicaName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_that_no_container_can_have_is_refused() {
        for bad in ["", "-a", "a b", "a/b", "a:b", "ä", &"x".repeat(201)] {
            assert!(FleetName::parse(bad).is_err(), "{bad}");
        }
        assert!(FleetName::parse(&"x".repeat(200)).is_ok());
        let refusal = FleetName::parse(&"/".repeat(5000)).unwrap_err();
        assert!(refusal.len() < 300, "{refusal}");
    }
}
