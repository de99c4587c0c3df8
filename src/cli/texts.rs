//! What `get` and `doctor` say of an object that is given as YAML, as [`explain::render`](super::explain::render) does for `explain`: to
//! be compared with texts that are kept.

use jiff::Timestamp;

use super::{
    Failure, doctor,
    explain::facts::Facts,
    get::row::{Listing, Row},
};

/// What commands say of an object.
pub struct Texts {
    pub get: String,
    pub doctor: String,
}

/// The texts for the first of a stream of YAML documents.
///
/// # Errors
///
/// When it is no object.
pub fn of_object(documents: &str, now: Timestamp) -> Result<Texts, Failure> {
    let facts = Facts::of_documents(documents)?;
    let doctor = doctor::text_of(&facts)?;
    let listing = Listing { items: vec![Row::of(facts.object)], ..Listing::default() };
    Ok(Texts { get: listing.text(true, now), doctor })
}
