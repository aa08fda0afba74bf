//! The guards of a whole run: plan in, plan or `Held` out. Each names its reason.

use super::plan::{GroupPlan, RemediationPlan, protection};
use crate::model::{GroupReading, Held, HoldReason};
use crate::policy::remediation::{Mode, Remediation};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// Fewest groups that `max_share` may stand for.
const LEAST_SHARE: u64 = 3;

/// Holds back what the guards do not let through. `groups_read` is the population of this run.
pub fn guard(
    plan: RemediationPlan,
    remediation: &Remediation,
    groups_read: u64,
    now: DateTime<Utc>,
    zone: Tz,
) -> RemediationPlan {
    let mut out = RemediationPlan {
        groups: Vec::new(),
        held: plan.held,
    };
    for group in plan.groups {
        if group.locks_out.is_empty() {
            out.groups.push(group);
        } else {
            let detail = format!(
                "it takes the last way in from {}; give that source a rule of its own first",
                group.locks_out.join(", ")
            );
            out.held
                .push(held(&group, vec![HoldReason::Lockout], detail));
        }
    }
    let mut reasons: Vec<(HoldReason, String)> = Vec::new();
    let rules: u64 = out
        .groups
        .iter()
        .map(|group| count(group.taken_rules().count()))
        .sum();
    if remediation.mode != Mode::Off && rules > remediation.max_changes {
        reasons.push((
            HoldReason::MaxChanges,
            format!(
                "the run wants to revoke or narrow {rules} rules and max_changes is {}: nothing was changed",
                remediation.max_changes
            ),
        ));
    }
    let share = remediation
        .max_share_percent
        .saturating_mul(groups_read)
        .div_ceil(100)
        .max(LEAST_SHARE);
    let wanted = count(out.groups.len());
    if remediation.mode != Mode::Off && wanted > share {
        reasons.push((
            HoldReason::MaxShare,
            format!(
                "the run wants to change {wanted} of {groups_read} groups and max_share is {}% \
                 ({share} groups): nothing was changed",
                remediation.max_share_percent
            ),
        ));
    }
    // A plan made by day may be approved for the night: `apply` looks at the windows itself.
    if remediation.mode.changes() && !remediation.is_open(now, zone) {
        reasons.push((HoldReason::Window, closed(now, zone)));
    }
    if !reasons.is_empty() {
        let detail: Vec<&str> = reasons.iter().map(|(_, detail)| detail.as_str()).collect();
        let detail = detail.join("; ");
        for group in std::mem::take(&mut out.groups) {
            let why = reasons.iter().map(|(reason, _)| *reason).collect();
            out.held.push(held(&group, why, detail.clone()));
        }
    }
    if !remediation.mode.changes() {
        // The plan stands, for people to read and approve; this run does not carry it out.
        for group in &out.groups {
            let detail = remediation.why_not();
            out.held.push(held(group, vec![HoldReason::Mode], detail));
        }
    }
    out.held.sort_by(|a, b| {
        (&a.account, &a.region, &a.group_id, &a.rules).cmp(&(
            &b.account,
            &b.region,
            &b.group_id,
            &b.rules,
        ))
    });
    out
}

/// That no window is open.
fn closed(now: DateTime<Utc>, zone: Tz) -> String {
    format!(
        "{} is in none of the windows",
        now.with_timezone(&zone).format("%a %H:%M")
    )
}

/// Why nothing may be taken back in a group that no run planned to change: the guards of a run that do
/// not depend on what is planned.
pub fn forbids(
    remediation: &Remediation,
    reading: &GroupReading,
    now: DateTime<Utc>,
    zone: Tz,
) -> Option<(HoldReason, String)> {
    if let Some(why) = protection(remediation, reading) {
        return Some((HoldReason::Protected, why));
    }
    (!remediation.is_open(now, zone)).then(|| (HoldReason::Window, closed(now, zone)))
}

/// A planned group as held.
pub fn held(group: &GroupPlan, reasons: Vec<HoldReason>, detail: String) -> Held {
    Held {
        account: group.account.clone(),
        region: group.region.clone(),
        group_id: group.group_id.clone(),
        rules: group
            .taken_rules()
            .map(|change| change.rule_id.clone())
            .collect(),
        reasons,
        detail,
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
