//! Two runs held against each other. What one of them did not judge is neither new nor resolved.

use super::lasting::lasting;
use crate::exposure::points::{minus, read};
use crate::exposure::traffic::shown;
use crate::model::{
    CoverageChange, FieldChange, Finding, FindingChange, FindingName, FindingRule, Incomparable,
    RegionCoverage, RegionStatus, RunDiff, RunRecord, RunSide, Traffic, Verdict, WaiverChange,
    WaiverUse,
};
use std::collections::{BTreeMap, BTreeSet};

/// Account, region, group and check.
pub type Key = (String, String, String, String);

/// A finding's key; of interfaces, the groups together stand for the group.
pub fn key(finding: &Finding) -> Key {
    (
        finding.account.as_str().to_owned(),
        finding.region.as_str().to_owned(),
        finding.subject(),
        finding.check.clone(),
    )
}

/// One of the two runs.
#[derive(Clone, Debug)]
pub struct Compared<'r> {
    /// What it says.
    pub record: &'r RunRecord,
    /// Its policy texts: name and SHA-256.
    pub policy: Vec<(String, String)>,
    /// Of the other run's findings, those that this run's population has a row of.
    pub judged: BTreeSet<Key>,
}

/// What the second has otherwise than the first.
pub fn compare(from: &Compared<'_>, to: &Compared<'_>) -> RunDiff {
    let mut out = RunDiff {
        schema: RunDiff::SCHEMA.to_owned(),
        from: side(from.record),
        to: side(to.record),
        different: false,
        run: runs(from.record, to.record),
        new: Vec::new(),
        resolved: Vec::new(),
        incomparable: Vec::new(),
        changed: Vec::new(),
        coverage: coverage(from.record, to.record),
        policy: texts(&from.policy, &to.policy),
        waivers: waivers(from.record, to.record),
    };
    let by_key = |record: &RunRecord| -> BTreeMap<Key, Finding> {
        let findings = record.findings.iter();
        findings.map(|f| (key(f), f.clone())).collect()
    };
    let (first, second) = (by_key(from.record), by_key(to.record));
    for (key, finding) in &second {
        match first.get(key) {
            Some(before) => out.changed.extend(changed(before, finding)),
            None => match said_nothing(from, key, finding) {
                None => out.new.push(name(finding)),
                Some(why) => out.incomparable.push(Incomparable {
                    finding: name(finding),
                    only_in: to.record.header.run.clone(),
                    why,
                }),
            },
        }
    }
    for (key, finding) in &first {
        if second.contains_key(key) {
            continue;
        }
        match said_nothing(to, key, finding) {
            None => out.resolved.push(name(finding)),
            Some(why) => out.incomparable.push(Incomparable {
                finding: name(finding),
                only_in: from.record.header.run.clone(),
                why,
            }),
        }
    }
    out.different = !(out.run.is_empty()
        && out.new.is_empty()
        && out.resolved.is_empty()
        && out.incomparable.is_empty()
        && out.changed.is_empty()
        && out.coverage.is_empty()
        && out.policy.is_empty()
        && out.waivers.is_empty());
    out
}

fn side(record: &RunRecord) -> RunSide {
    let header = &record.header;
    RunSide {
        run: header.run.clone(),
        schedule: header.schedule.clone(),
        started: header.times.started.clone(),
        complete: header.complete,
        verdicts: header.totals.clone(),
    }
}

fn name(finding: &Finding) -> FindingName {
    FindingName {
        account: finding.account.clone(),
        region: finding.region.clone(),
        group_id: finding.group_id.clone(),
        group_name: finding.group_name.clone(),
        groups: finding
            .interface
            .as_ref()
            .map(|note| note.groups.clone())
            .unwrap_or_default(),
        check: finding.check.clone(),
        severity: finding.severity,
        verdict: finding.verdict,
    }
}

/// Why a run that has no such finding says nothing of it; `None`: it says that there is nothing.
fn said_nothing(run: &Compared<'_>, key: &Key, finding: &Finding) -> Option<String> {
    let header = &run.record.header;
    if !header.checks.iter().any(|check| check.id == finding.check) {
        return Some("the check was not applied".to_owned());
    }
    if finding.interface.is_none() && run.judged.contains(key) {
        return None;
    }
    let region = run
        .record
        .coverage
        .regions
        .iter()
        .find(|region| region.account == finding.account && region.region == finding.region);
    let Some(region) = region.filter(|region| region.status == RegionStatus::Ok) else {
        return Some("the region was not read in full".to_owned());
    };
    if finding.interface.is_some() && region.attached.is_none() {
        return Some("what uses the groups was not looked at".to_owned());
    }
    let scope = &header.scope;
    let every_group = scope.groups == ["all"] && scope.exclude_groups.is_empty();
    (!every_group).then(|| "the group was not in scope".to_owned())
}

fn field(what: &str, from: Option<String>, to: Option<String>) -> Option<FieldChange> {
    (from != to).then(|| FieldChange {
        what: what.to_owned(),
        from,
        to,
    })
}

fn texts_differ(what: &str, from: impl ToString, to: impl ToString) -> Option<FieldChange> {
    field(what, Some(from.to_string()), Some(to.to_string()))
}

fn runs(from: &RunRecord, to: &RunRecord) -> Vec<FieldChange> {
    let (a, b) = (&from.header, &to.header);
    let scope = |record: &RunRecord| {
        let scope = &record.header.scope;
        let list = |name: &str, texts: &[String]| {
            let mut texts = texts.to_vec();
            texts.sort();
            format!("{name} {}", texts.join(", "))
        };
        [
            list("accounts", &scope.accounts),
            list("regions", &scope.regions),
            list("without", &scope.exclude_regions),
            list("groups", &scope.groups),
            list("without", &scope.exclude_groups),
        ]
        .join("; ")
    };
    [
        texts_differ("complete", a.complete, b.complete),
        texts_differ("account", &a.identity.account, &b.identity.account),
        texts_differ("identity", &a.identity.arn, &b.identity.arn),
        texts_differ("tool", &a.tool, &b.tool),
        texts_differ("mode", &a.mode, &b.mode),
        texts_differ("scope", scope(from), scope(to)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A rule as people tell it from another.
fn rule(rule: &FindingRule) -> String {
    let mut parts = vec![
        rule.rule_id.as_str(),
        rule.priority.as_str(),
        rule.protocol.as_str(),
        rule.port_range.as_str(),
        rule.source.as_str(),
    ];
    parts.extend(rule.group_id.as_ref().map(|group| group.as_str()));
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

fn changed(before: &Finding, after: &Finding) -> Option<FindingChange> {
    let waiver = |finding: &Finding| {
        finding.waiver.as_ref().map(|note| {
            format!(
                "approved by {} for {} until {}: {}",
                note.approved_by, note.owner, note.expires, note.reason
            )
        })
    };
    let fields: Vec<FieldChange> = [
        texts_differ("verdict", before.verdict, after.verdict),
        texts_differ("severity", before.severity, after.severity),
        texts_differ("reach", before.reach.as_str(), after.reach.as_str()),
        reason(before, after),
        field("waiver", waiver(before), waiver(after)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let certain = [before, after]
        .into_iter()
        .all(|finding| finding.verdict != Verdict::Undetermined);
    let runs = (read(&before.exposed), read(&after.exposed));
    let (opened, closed): (Vec<Traffic>, Vec<Traffic>) = match runs {
        // What is only possible is neither opened nor closed.
        (Some(old), Some(new)) if certain => (shown(&minus(&new, &old)), shown(&minus(&old, &new))),
        _ => (Vec::new(), Vec::new()),
    };
    let rules =
        |finding: &Finding| -> BTreeSet<String> { finding.rules.iter().map(rule).collect() };
    let (old, new) = (rules(before), rules(after));
    let out = FindingChange {
        finding: name(after),
        fields,
        opened,
        closed,
        rules_added: new.difference(&old).cloned().collect(),
        rules_removed: old.difference(&new).cloned().collect(),
    };
    let same = out.fields.is_empty()
        && out.opened.is_empty()
        && out.closed.is_empty()
        && out.rules_added.is_empty()
        && out.rules_removed.is_empty();
    (!same).then_some(out)
}

/// Why undetermined, where that is another reason: each call has a request id of its own.
fn reason(before: &Finding, after: &Finding) -> Option<FieldChange> {
    let lasts = |finding: &Finding| finding.reason.as_deref().map(lasting);
    if lasts(before) == lasts(after) {
        return None;
    }
    field("reason", before.reason.clone(), after.reason.clone())
}

fn coverage(from: &RunRecord, to: &RunRecord) -> Vec<CoverageChange> {
    let by_place = |record: &RunRecord| -> BTreeMap<_, RegionCoverage> {
        let regions = record.coverage.regions.iter();
        regions
            .map(|region| {
                (
                    (region.account.clone(), region.region.clone()),
                    region.clone(),
                )
            })
            .collect()
    };
    let (old, new) = (by_place(from), by_place(to));
    let mut places: Vec<_> = old.keys().chain(new.keys()).cloned().collect();
    places.sort();
    places.dedup();
    places
        .into_iter()
        .filter_map(|place| {
            let (a, b) = (old.get(&place), new.get(&place));
            let of = |what: &str, value: fn(&RegionCoverage) -> Option<String>| {
                field(what, a.and_then(value), b.and_then(value))
            };
            let fields: Vec<FieldChange> = [
                of("status", |r| {
                    Some(
                        match r.status {
                            RegionStatus::Ok => "ok",
                            RegionStatus::Failed => "failed",
                            RegionStatus::Skipped => "skipped",
                        }
                        .to_owned(),
                    )
                }),
                of("groups_listed", |r| Some(r.groups_listed.to_string())),
                of("groups_read", |r| Some(r.groups_read.to_string())),
                of("groups_vanished", |r| Some(r.groups_vanished.to_string())),
                of("rules_listed", |r| Some(r.rules_listed.to_string())),
                of("rules_read", |r| Some(r.rules_read.to_string())),
                of("error", |r| {
                    let error = r.error.as_ref()?;
                    Some(format!("{} {}", error.action, error.code))
                }),
            ]
            .into_iter()
            .flatten()
            .collect();
            let (account, region) = place;
            (!fields.is_empty()).then_some(CoverageChange {
                account,
                region,
                fields,
            })
        })
        .collect()
}

fn texts(from: &[(String, String)], to: &[(String, String)]) -> Vec<FieldChange> {
    let map = |texts: &[(String, String)]| -> BTreeMap<String, String> {
        texts.iter().cloned().collect()
    };
    let (old, new) = (map(from), map(to));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| field(name, old.get(name).cloned(), new.get(name).cloned()))
        .collect()
}

fn waivers(from: &RunRecord, to: &RunRecord) -> Vec<WaiverChange> {
    type Same = (
        String,
        String,
        String,
        String,
        Vec<String>,
        Vec<String>,
        usize,
    );
    let by_key = |record: &RunRecord| -> BTreeMap<Same, WaiverUse> {
        let mut out = BTreeMap::new();
        for waiver in &record.waivers {
            let key = |number| {
                (
                    waiver.group.as_str().to_owned(),
                    waiver.check.clone(),
                    waiver
                        .account
                        .as_ref()
                        .map_or(String::new(), |a| a.as_str().to_owned()),
                    waiver
                        .region
                        .as_ref()
                        .map_or(String::new(), |r| r.as_str().to_owned()),
                    waiver.ports.clone(),
                    waiver.sources.clone(),
                    number,
                )
            };
            // Two that approve the same are the first and the second of them.
            let mut number = 0usize;
            while out.contains_key(&key(number)) {
                number = number.saturating_add(1);
            }
            out.insert(key(number), waiver.clone());
        }
        out
    };
    let (old, new) = (by_key(from), by_key(to));
    let mut keys: Vec<&Same> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter_map(|key| {
            let (a, b) = (old.get(key), new.get(key));
            let of = |what: &str, value: fn(&WaiverUse) -> Option<String>| {
                field(what, a.and_then(value), b.and_then(value))
            };
            let fields: Vec<FieldChange> = [
                of("state", |w| Some(w.state.as_str().to_owned())),
                of("expires", |w| Some(w.expires.clone())),
                of("owner", |w| Some(w.owner.clone())),
                of("approved_by", |w| Some(w.approved_by.clone())),
                of("reason", |w| Some(w.reason.clone())),
                of("ticket", |w| w.ticket.clone()),
            ]
            .into_iter()
            .flatten()
            .collect();
            let one = b.or(a)?;
            (!fields.is_empty()).then(|| WaiverChange {
                group: one.group.clone(),
                check: one.check.clone(),
                ports: one.ports.clone(),
                sources: one.sources.clone(),
                fields,
            })
        })
        .collect()
}
