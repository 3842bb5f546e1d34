//! What people and programs see of an outcome.

pub mod idle;
pub mod picture;
pub mod table;

use crate::Outcome;

/// The outcome as JSON, with a line end. Equal seeds give equal bytes.
///
/// # Errors
/// A number is not finite, which no outcome has.
pub fn json(outcome: &Outcome) -> serde_json::Result<String> {
    serde_json::to_string_pretty(outcome).map(|text| text + "\n")
}
