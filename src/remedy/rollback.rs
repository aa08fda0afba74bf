//! Putting back what a run revoked: a plan out of the run's changes, for each group either the
//! requests that were kept as `undo`, or why not.

use super::digest::digest;
use super::plan::{GroupPlan, PlannedChange};
use super::said::{lines, said, said_by};
use crate::model::{ApiRequest, Change, ChangeKind, GroupReading, Outcome};
use std::collections::BTreeMap;

/// Whether a run's change took the rule away, or may have.
pub fn took_away(change: &Change) -> bool {
    change.kind == ChangeKind::Revoke
        && change.attempted_at.is_some()
        && match change.outcome {
            Outcome::Verified | Outcome::Drifted | Outcome::Failed | Outcome::Unknown => true,
            Outcome::AlreadyGone | Outcome::Refused => false,
        }
}

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

/// Plans one group's rollback. `now` is a fresh reading of it.
pub fn plan(now: &GroupReading, changes: &[&Change], merge: bool) -> Plan {
    let there: Vec<String> = now.rules.read.iter().map(said).collect();
    let missing: Vec<&&Change> = changes
        .iter()
        .filter(|change| !there.contains(&said_by(&change.rule)))
        .collect();
    if missing.is_empty() {
        return Plan::Nothing;
    }
    if !merge {
        let difference = moved(now, changes);
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

/// What is different from the group as the run left it; rules that the run took away and that are
/// back are no difference.
fn moved(now: &GroupReading, changes: &[&Change]) -> Vec<String> {
    // The last change of the group saw it last.
    let Some(left) = changes
        .iter()
        .rev()
        .find(|change| !change.group_after.is_empty() || change.after_sha256.is_some())
    else {
        return Vec::new();
    };
    let is = lines(&now.rules.read);
    let back: Vec<String> = changes.iter().map(|change| said_by(&change.rule)).collect();
    let mut out = Vec::new();
    for line in &is {
        let said = line.split_once(' ').map_or("", |(_, said)| said);
        if !left.group_after.contains(line) && !back.iter().any(|b| b == said) {
            out.push(format!("+ {line}"));
        }
    }
    for line in &left.group_after {
        let id = line.split_once(' ').map_or("", |(id, _)| id);
        let was_ours = changes.iter().any(|change| {
            change
                .rule
                .get("SecurityGroupRuleId")
                .is_some_and(|own| own == id)
        });
        if !is.contains(line) && !was_ours {
            out.push(format!("- {line}"));
        }
    }
    out
}

/// The request that takes a rule away again that has been put back: by its fields, since its new id
/// is not known yet.
fn revoke_of(change: &Change) -> ApiRequest {
    ApiRequest {
        action: "RevokeSecurityGroup".to_owned(),
        params: change.undo.params.clone(),
    }
}
