//! The digest of a group's reading: two readings are equal when it is.

use crate::model::{GroupReading, NicType};
use sha2::Digest as _;

/// SHA-256 over all that decides: the group's id, its tags, whether it is classic and managed, every rule's
/// fields and every named list's entries, in an order of its own.
pub fn digest(reading: &GroupReading) -> String {
    let mut rules: Vec<Vec<(String, String)>> = reading
        .rules
        .read
        .iter()
        .map(|rule| {
            let mut fields: Vec<(String, String)> = rule
                .fields()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .chain(rule.unknown.iter().cloned())
                .collect();
            fields.push((
                "asked".to_owned(),
                rule.asked_nic.map_or("", NicType::as_str).to_owned(),
            ));
            fields
        })
        .collect();
    rules.sort();
    // Why a list could not be read holds a request id, which is new each time: that it could not is all.
    let lists: Vec<(&String, Result<&Vec<String>, &str>)> = reading
        .lists
        .prefix
        .iter()
        .chain(&reading.lists.port)
        .map(|(id, list)| (id, list.as_ref().as_ref().map_err(|_| "unread")))
        .collect();
    // Debug output quotes and escapes every text, so that no two readings print alike.
    let text = format!(
        "{:?} {:?} {:?} {:?} {:?} {rules:?} {lists:?}",
        reading.group.id,
        reading.group.tags,
        reading.group.vpc_id,
        reading.group.service_managed,
        reading.rules.incomplete,
    );
    crate::evidence::format::hex(&sha2::Sha256::digest(text.as_bytes()))
}
