//! How a rule reads otherwise when it has been put back: the service no longer takes some spellings
//! that live on in old rules. Every packet is decided as before, or there would be no undo; people
//! are told all the same.

use super::ApiRequest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One field that reads otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respelled {
    /// Its name, such as `Priority`.
    pub field: String,
    /// What it said.
    pub was: String,
    /// What it says; empty where it is left out.
    pub is: String,
}

/// Fields that say which packets a rule decides, and where in the order. An unlimited SourcePortRange is
/// filled in by the service.
const DECIDING: [&str; 8] = [
    "Priority",
    "IpProtocol",
    "PortRange",
    "PortRangeListId",
    "SourceCidrIp",
    "Ipv6SourceCidrIp",
    "SourceGroupId",
    "SourcePrefixListId",
];

/// What `is` says otherwise than `was`, without regard to case.
pub fn between(was: &BTreeMap<String, String>, is: &BTreeMap<String, String>) -> Vec<Respelled> {
    let text =
        |rule: &BTreeMap<String, String>, name: &str| rule.get(name).cloned().unwrap_or_default();
    DECIDING
        .into_iter()
        .map(|name| (name, text(was, name), text(is, name)))
        .filter(|(_, was, is)| !was.is_empty() && !was.eq_ignore_ascii_case(is))
        .map(|(name, was, is)| Respelled {
            field: name.to_owned(),
            was,
            is,
        })
        .collect()
}

/// What a rule will say otherwise once that request has put it back; nothing of another kind of request.
pub fn once_back(rule: &BTreeMap<String, String>, undo: &ApiRequest) -> Vec<Respelled> {
    if undo.action != "AuthorizeSecurityGroup" {
        return Vec::new();
    }
    let asked = undo.params.iter();
    let fields = asked.filter_map(|(name, value)| {
        let name = name.strip_prefix("Permissions.1.")?;
        Some((name.to_owned(), value.clone()))
    });
    between(rule, &fields.collect())
}
