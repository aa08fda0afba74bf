//! Putting back what a run revoked: a plan out of the run's changes, for each group either the
//! requests that were kept as `undo`, or why not.

use super::digest::digest;
use super::plan::{GroupPlan, PlannedChange};
use super::said::{is_there, lines, said_in};
use crate::model::{ApiRequest, Change, ChangeKind, GroupReading};
use std::collections::BTreeMap;

/// What can be put back of one group.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Every rule is there already.
    Nothing,
    /// These requests put it back.
    Do(Box<GroupPlan>),
    /// The group has moved on; the difference, a line each.
    Moved(Vec<String>),
}

/// Plans one group's rollback: `changes` are wanted back, `all` are what the run did to the group.
/// `now` is a fresh reading of it.
pub fn plan(now: &GroupReading, changes: &[&Change], all: &[&Change], merge: bool) -> Plan {
    let missing: Vec<&&Change> = changes
        .iter()
        .filter(|change| !is_there(now, &change.rule))
        .collect();
    if missing.is_empty() {
        return Plan::Nothing;
    }
    if !merge {
        let difference = moved(now, all);
        if !difference.is_empty() {
            return Plan::Moved(difference);
        }
    }
    let planned = missing
        .iter()
        .map(|change| PlannedChange {
            kind: ChangeKind::Authorize,
            rule_id: change
                .rule
                .get("SecurityGroupRuleId")
                .cloned()
                .unwrap_or_default(),
            rule: change.rule.clone(),
            narrowing: None,
            checks: change.checks.clone(),
            ends: Vec::new(),
            undo: revoke_of(change),
            request: Some(change.undo.clone()),
        })
        .collect();
    Plan::Do(Box::new(GroupPlan {
        account: now.account.clone(),
        region: now.region.clone(),
        group_id: now.id(),
        group_name: now.group.name.clone(),
        reading_sha256: digest(now),
        changes: planned,
        predicted: BTreeMap::new(),
        ends: Vec::new(),
        locks_out: Vec::new(),
    }))
}

/// What is different from the group as the run left it, by what its rules say: ids change when rules
/// come back. Rules that the run took away and that are back are no difference.
fn moved(now: &GroupReading, all: &[&Change]) -> Vec<String> {
    // The last change of the group saw it last.
    let Some(left) = all
        .iter()
        .rev()
        .find(|change| change.after_sha256.is_some())
    else {
        return Vec::new();
    };
    let what = |line: &String| line.split_once(' ').map_or("", |(_, said)| said).to_owned();
    let mut missing: Vec<String> = left.group_after.iter().map(what).collect();
    let mut new: Vec<String> = Vec::new();
    for said in lines(now).iter().map(what) {
        match missing.iter().position(|other| *other == said) {
            Some(at) => {
                missing.remove(at);
            }
            None => new.push(said),
        }
    }
    for change in all {
        let said = said_in(now, &change.rule);
        // What came in a rule's place is ours: that it has gone is no difference either.
        if change.stands_in_for().is_some() {
            if let Some(at) = missing.iter().position(|other| *other == said) {
                missing.remove(at);
            }
            continue;
        }
        if !change.took_away() {
            continue;
        }
        if let Some(at) = new.iter().position(|other| *other == said) {
            new.remove(at);
        }
    }
    let added = new.into_iter().map(|said| format!("+ {said}"));
    let gone = missing.into_iter().map(|said| format!("- {said}"));
    added.chain(gone).collect()
}

/// The request that takes a rule away again that has been put back: by its fields, since its new id
/// is not known yet.
fn revoke_of(change: &Change) -> ApiRequest {
    ApiRequest {
        action: "RevokeSecurityGroup".to_owned(),
        params: change.undo.params.clone(),
    }
}
