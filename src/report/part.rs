//! One recipient's part of a run: the record as if nothing else had been found. What is wrong with the
//! run itself stands in every part: regions that were not read, changes that are not verified.

use crate::model::{AccountId, Finding, GroupId, RegionId, Route, RunRecord, Totals, WaiverUse};

/// The part of a record that a route names. Counts are of the part; what was read is of the run.
pub fn part(record: &RunRecord, route: &Route) -> RunRecord {
    let mut out = record.clone();
    out.part = Some(route.clone());
    out.findings.retain(|finding| route.has(finding));
    out.resolved.retain(|finding| route.has(finding));
    out.idle_rules.retain(|idle| route.has_idle(idle));
    out.changes.retain(|change| {
        change.is_broken()
            || has_group(
                record,
                route,
                (&change.account, &change.region, &change.group_id),
            )
    });
    out.held
        .retain(|held| has_group(record, route, (&held.account, &held.region, &held.group_id)));
    out.planned
        .retain(|plan| has_group(record, route, (&plan.account, &plan.region, &plan.group_id)));
    out.confirmed
        .retain(|call| has_group(record, route, (&call.account, &call.region, &call.group_id)));
    out.coverage.regions.retain(|region| {
        region.status == crate::model::RegionStatus::Failed
            || route.has_place(&region.account, &region.region)
    });
    out.waivers
        .retain(|waiver| has_waiver(record, route, waiver));
    // The trend counts whole runs.
    out.trend = None;
    let mut totals = Totals::default();
    for finding in &out.findings {
        totals.count(finding.verdict);
    }
    out.header.totals = totals;
    // Those are of the whole run: a part says nothing about what passed.
    out.header.controls.clear();
    for check in &mut out.header.checks {
        check.groups = Totals::default();
    }
    out
}

/// Whether a group's changes are in it: by its findings, or by its place alone where the run has none
/// of that group (it settled what a killed run left): then nobody is left out.
fn has_group(
    record: &RunRecord,
    route: &Route,
    (account, region, group): (&AccountId, &RegionId, &GroupId),
) -> bool {
    let mut known = record
        .findings
        .iter()
        .chain(&record.resolved)
        .filter(|f: &&Finding| f.account == *account && f.region == *region && f.group_id == *group)
        .peekable();
    if known.peek().is_none() {
        return route.has_place(account, region);
    }
    known.any(|finding| route.has(finding))
}

/// Whether a waiver is in it: by its group's findings, or by the places it names where the run has none
/// of that group.
fn has_waiver(record: &RunRecord, route: &Route, waiver: &WaiverUse) -> bool {
    let mut known = record
        .findings
        .iter()
        .chain(&record.resolved)
        .filter(|finding| finding.group_id == waiver.group)
        .peekable();
    if known.peek().is_none() {
        let account = waiver.account.as_ref();
        let region = waiver.region.as_ref();
        return account.is_none_or(|own| route.accounts.is_empty() || route.accounts.contains(own))
            && region.is_none_or(|own| route.regions.is_empty() || route.regions.contains(own));
    }
    known.any(|finding| route.has(finding))
}
